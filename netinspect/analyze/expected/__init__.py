"""What a node should do with Services, by the API and kube-proxy's settings: never looks at a rule."""
