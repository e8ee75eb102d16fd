// Command web is the test workload: an HTTP server that says who answered and who asked, and a UDP echo on the
// same port. It listens on both IP families. With -exit it ends at once instead, for pods that crash or complete.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
)

const stayUp = -1

func main() {
	port := flag.Int("port", 8080, "TCP and UDP `port` to answer on")
	exitCode := flag.Int("exit", stayUp, "end at once with this exit `code`")
	flag.Parse()
	if *exitCode != stayUp {
		log.Printf("ending with exit code %d, as told", *exitCode)
		os.Exit(*exitCode)
	}
	address := fmt.Sprintf(":%d", *port)
	go func() { log.Fatal(echoUDP(address)) }()
	http.HandleFunc("/", introduce)
	log.Printf("answering on %s, TCP and UDP", address)
	log.Fatal(http.ListenAndServe(address, nil))
}

// introduce writes the pod's name (its host name, unless the pod is on the host's network) and the caller's address.
func introduce(answer http.ResponseWriter, request *http.Request) {
	name, err := os.Hostname()
	if err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
		return
	}
	if podName := os.Getenv("POD_NAME"); podName != "" {
		name = podName
	}
	fmt.Fprintf(answer, "pod=%s caller=%s\n", name, request.RemoteAddr)
}

// echoUDP sends every datagram back to its sender.
func echoUDP(address string) error {
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	datagram := make([]byte, 65535)
	for {
		size, sender, err := socket.ReadFrom(datagram)
		if err != nil {
			return err
		}
		if _, err := socket.WriteTo(datagram[:size], sender); err != nil {
			log.Printf("no echo to %s: %v", sender, err)
		}
	}
}
