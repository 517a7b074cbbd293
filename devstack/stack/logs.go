package stack

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// podLogs is what containers have "written", a file per behaviour. The stage that starts a pod points to one of them.
//
//go:embed podlogs
var podLogs embed.FS

// writePodLogs writes the container logs to the state folder in the format of a container runtime, which kwok's server
// wants: a time, the stream and a mark before each line.
func writePodLogs(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create folder for pod logs: %w", err)
	}
	names, err := fs.Glob(podLogs, "podlogs/*.log")
	if err != nil {
		return fmt.Errorf("list pod logs: %w", err)
	}
	now := time.Now().UTC()
	for _, name := range names {
		text, err := fs.ReadFile(podLogs, name)
		if err != nil {
			return fmt.Errorf("read pod log: %w", err)
		}
		var out bytes.Buffer
		for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
			at := now.Add(time.Duration(i) * 40 * time.Millisecond).Format("2006-01-02T15:04:05.000000000Z")
			fmt.Fprintf(&out, "%s stdout F %s\n", at, line)
		}
		if err := os.WriteFile(dir+"/"+path.Base(name), out.Bytes(), 0o600); err != nil {
			return fmt.Errorf("write pod log: %w", err)
		}
	}
	return nil
}

// createLogsKind makes the kind by which stages tell kwok's server where a pod's log is. kwok starts only when it exists.
func createLogsKind(ctx context.Context, api *API) error {
	const name, definitions = "logs.kwok.x-k8s.io", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	crd := map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{
			"name": name,
			// Groups under k8s.io are reserved: the server wants to know that this one was not asked for there.
			"annotations": map[string]any{"api-approved.kubernetes.io": "unapproved, development only"},
		},
		"spec": map[string]any{
			"group": "kwok.x-k8s.io", "scope": "Namespaced",
			"names": map[string]any{"kind": "Logs", "listKind": "LogsList", "plural": "logs", "singular": "logs"},
			"versions": []any{map[string]any{
				"name": "v1alpha1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object", "x-kubernetes-preserve-unknown-fields": true,
				}},
			}},
		},
	}
	if err := api.Create(ctx, definitions, crd, nil); err != nil {
		return fmt.Errorf("create kind Logs: %w", err)
	}
	return pollLast(ctx, 50*time.Millisecond, func() error {
		var got struct {
			Status struct {
				Conditions []struct{ Type, Status string }
			}
		}
		if err := api.Get(ctx, definitions+"/"+name, &got); err != nil {
			return err
		}
		for _, c := range got.Status.Conditions {
			if c.Type == "Established" && c.Status == "True" {
				return nil
			}
		}
		return errors.New("kind Logs is not established yet")
	})
}
