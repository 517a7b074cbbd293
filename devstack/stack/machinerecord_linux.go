package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// recordName is the file, in the state folder, that says what a start changed on the machine.
const recordName = "machine.json"

// machineRecord is what undo must know about the time before. It is written before the first change.
type machineRecord struct {
	Boot     string              `json:"boot"`     // settings are worth nothing after another boot
	Settings map[string]string   `json:"settings"` // below /proc/sys
	Tables   map[string][]string `json:"tables"`   // of iptables and ip6tables
	// Controllers are those that the root of cgroups version 2 did not pass on to its children.
	Controllers []string `json:"controllers"`
}

// brief is the record in a form that fits into the comment of a rule: settings in their order, tables of each family,
// controllers.
func (r machineRecord) brief() string {
	var settings []string
	for _, name := range kernelSettings {
		settings = append(settings, r.Settings[name])
	}
	parts := []string{strings.Join(settings, ",")}
	for _, family := range families {
		parts = append(parts, strings.Join(r.Tables[family], ","))
	}
	return strings.Join(append(parts, strings.Join(r.Controllers, ",")), ";")
}

func recordFromBrief(brief string) machineRecord {
	r := machineRecord{Boot: bootID(), Settings: map[string]string{}, Tables: map[string][]string{}}
	parts := strings.Split(brief, ";")
	for i, value := range strings.Split(parts[0], ",") {
		if i < len(kernelSettings) && (value == "0" || value == "1") {
			r.Settings[kernelSettings[i]] = value
		}
	}
	list := func(text string) []string { return strings.FieldsFunc(text, func(c rune) bool { return c == ',' }) }
	for i, family := range families {
		if i+1 < len(parts) {
			r.Tables[family] = list(parts[i+1])
		}
	}
	if last := 1 + len(families); last < len(parts) {
		r.Controllers = list(parts[last])
	}
	return r
}

func (m *machine) recordFile() string { return filepath.Join(m.state, recordName) }

func (m *machine) readRecord() error {
	text, err := os.ReadFile(m.recordFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what was changed on the machine: %w", err)
	}
	if err := json.Unmarshal(text, &m.record); err != nil {
		return fmt.Errorf("decode %s: %w", m.recordFile(), err)
	}
	if m.record.Boot != bootID() {
		m.record = machineRecord{}
	}
	return nil
}

func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it every boot looks the same
	return strings.TrimSpace(string(id))
}

func (m *machine) writeRecord() error {
	text, err := json.MarshalIndent(m.record, "", "  ")
	if err != nil {
		return fmt.Errorf("encode what is changed on the machine: %w", err)
	}
	if err := os.WriteFile(m.recordFile(), text, 0o600); err != nil {
		return fmt.Errorf("write what is changed on the machine: %w", err)
	}
	return nil
}
