//go:build tools

// Package tools names the CoreDNS program that the test cluster runs.
package tools

import _ "github.com/coredns/coredns"
