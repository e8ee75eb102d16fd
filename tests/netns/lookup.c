/* getaddrinfo(NAME) for TCP, as a program does it: prints the error's number, or 0 and the addresses. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
  char text[INET6_ADDRSTRLEN];
  if (argc != 2) return 2;
  int code = getaddrinfo(argv[1], NULL, &hints, &found);
  printf("%d\n", code);
  for (struct addrinfo *each = code ? NULL : found; each; each = each->ai_next) {
    void *address = each->ai_family == AF_INET
                        ? (void *)&((struct sockaddr_in *)each->ai_addr)->sin_addr
                        : (void *)&((struct sockaddr_in6 *)each->ai_addr)->sin6_addr;
    printf("%s\n", inet_ntop(each->ai_family, address, text, sizeof text));
  }
  return 0;
}
