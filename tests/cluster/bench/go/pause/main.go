// Command pause is the first process of every pod: it holds the pod's namespaces open and does nothing else.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	childEnded := make(chan os.Signal, 1)
	signal.Notify(childEnded, syscall.SIGCHLD)
	for {
		select {
		case <-ended:
			return
		case <-childEnded:
			reap()
		}
	}
}

// reap collects every ended child: with shareProcessNamespace pause is PID 1 of the whole pod,
// and orphans of any container become its children.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 && err != syscall.EINTR {
			return
		}
	}
}
