//go:build tools

// Package tools names the program that is built, so that its modules are required.
package tools

import _ "k8s.io/kubernetes/cmd/kube-proxy"
