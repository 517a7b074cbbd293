package stack

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

// writeKubeconfig writes a kubeconfig that carries everything inside, so that the file can be handed on alone.
func writeKubeconfig(path, server string, ca []byte, user map[string]any) error {
	config := map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "devstack",
		"clusters": []any{map[string]any{
			"name":    "devstack",
			"cluster": map[string]any{"server": server, "certificate-authority-data": ca},
		}},
		"users": []any{map[string]any{
			"name": "devstack",
			"user": user,
		}},
		"contexts": []any{map[string]any{
			"name":    "devstack",
			"context": map[string]any{"cluster": "devstack", "user": "devstack"},
		}},
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		return fmt.Errorf("encode kubeconfig: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

// user is the certificate as a kubeconfig's user.
func (k keyPair) user() map[string]any {
	return map[string]any{"client-certificate-data": k.certPEM, "client-key-data": k.keyPEM}
}
