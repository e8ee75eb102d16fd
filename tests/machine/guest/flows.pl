# Sends UDP packets on loopback, for the conntrack table: flows.pl FIRST-PORT ROUNDS IPV4-FLOWS IPV6-FLOWS
#
# Each flow is between two ports of its own. A round is a packet there and a packet back on each. Conntrack takes a
# flow for ASSURED that still has packets after two seconds (nf_conntrack_proto_udp.c, "Still active after two
# seconds?"), so three lie between rounds. A packet that conntrack drops is EPERM here: their number is printed.
# Nothing is used that perl-base lacks.
use strict;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);

my ($port, $rounds, @counts) = @ARGV;

sub address {
    my ($family, $port) = @_;
    return pack_sockaddr_in6($port, inet_pton(AF_INET6, "::1")) if $family == AF_INET6;
    return sockaddr_in($port, INADDR_LOOPBACK);
}

sub bound { # returns a socket at the next port, and its address
    my ($family) = @_;
    my $address = address($family, $port++);
    socket(my $socket, $family, SOCK_DGRAM, 0) or die "socket: $!\n";
    bind($socket, $address) or die "bind: $!\n";
    return [$socket, $address];
}

my @flows;
for my $family (AF_INET, AF_INET6) {
    push @flows, [bound($family), bound($family)] for 1 .. shift @counts;
}
my $refused = 0;
for my $round (1 .. $rounds) {
    sleep 3 if $round > 1;
    for (@flows) {
        my ($near, $far) = @$_;
        for ([$near->[0], $far->[1]], [$far->[0], $near->[1]]) {
            next if defined send($_->[0], "x", 0, $_->[1]);
            die "send: $!\n" unless $!{EPERM};
            $refused++;
        }
    }
}
print "$refused\n";
