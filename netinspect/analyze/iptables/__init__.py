"""What rules of iptables do with packets to Services: walked from the hooks, as a packet would."""
