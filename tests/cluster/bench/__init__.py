"""The test bench: a real two-node Kubernetes on this machine, without Docker and without a registry.

Three sandboxes (`sandbox.py`) make up the cluster, each with network, mount, PID and UTS namespaces of its own:
`control-plane` holds a bridge and etcd, kube-apiserver, kube-controller-manager and kube-scheduler; `node-a` and
`node-b` hold containerd, kubelet and kube-proxy each. Nothing is created in the machine's own network or mount
namespace, so a cluster goes away with its three init processes. The API is published on 127.0.0.1 by a relay.

Only the standard library is used, so that the bench runs before any virtual environment exists.
"""
