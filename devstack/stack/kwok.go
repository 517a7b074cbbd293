package stack

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// stages says how simulated nodes and pods behave, as kwok's Stage objects. The two libraries are put before every
// expression and every template, because kwok itself knows no way to share them.
//
//go:embed stages
var stages embed.FS

// writeKwokConfig writes the stages, libraries included, to kwok.yaml in the state folder, and the pods' logs.
func writeKwokConfig(plan *plan) error {
	if err := writePodLogs(plan.path("pod-logs")); err != nil {
		return err
	}
	config, err := renderStages(stages, plan.path("pod-logs"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(plan.path("kwok.yaml"), config, 0o600); err != nil {
		return fmt.Errorf("write kwok's configuration: %w", err)
	}
	return nil
}

func renderStages(files fs.FS, logDir string) ([]byte, error) {
	jq, err := fs.ReadFile(files, "stages/lib.jq")
	if err != nil {
		return nil, fmt.Errorf("read stage library: %w", err)
	}
	tpl, err := fs.ReadFile(files, "stages/lib.tpl")
	if err != nil {
		return nil, fmt.Errorf("read stage library: %w", err)
	}
	names, err := fs.Glob(files, "stages/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list stages: %w", err)
	}
	tpl = fmt.Appendf(tpl, "{{- define \"log-dir\" -}}%s{{- end -}}\n", filepath.ToSlash(logDir))
	before := map[string]string{"key": string(jq), "expression": string(jq), "template": string(tpl)}
	var out bytes.Buffer
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read stage: %w", err)
		}
		for _, document := range bytes.Split(text, []byte("\n---\n")) {
			var stage map[string]any
			if err := yaml.Unmarshal(document, &stage); err != nil {
				return nil, fmt.Errorf("decode %s: %w", name, err)
			}
			prepend(stage, before)
			rendered, err := yaml.Marshal(stage)
			if err != nil {
				return nil, fmt.Errorf("encode a stage of %s: %w", name, err)
			}
			fmt.Fprintf(&out, "---\n%s", rendered)
		}
	}
	return out.Bytes(), nil
}

// prepend puts the library that belongs to a field's name before every such field, at any depth.
func prepend(value any, before map[string]string) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			prepend(item, before)
		}
	case map[string]any:
		for name, item := range v {
			if text, ok := item.(string); ok && before[name] != "" {
				v[name] = before[name] + text
				continue
			}
			prepend(item, before)
		}
	}
}
