package slack

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"

	api "github.com/slack-go/slack"

	"deployportal/internal/errs"
)

var writeManifests = flag.Bool("write-manifests", false, "write the golden manifests anew")

func TestManifest(t *testing.T) {
	for _, c := range []struct {
		file, url, hook string
		socket          bool
	}{
		{"http", "https://deploy.example.org", "https://deploy.example.org/hooks/slack", false},
		{"http", "https://deploy.example.org/", "https://deploy.example.org/hooks/slack", false},
		{"socket", "", "", true},
		{"socket", "http://portal.internal", "", true},
	} {
		got, err := Manifest(c.url, c.socket)
		if err != nil {
			t.Fatal(err)
		}
		file := "testdata/manifest_" + c.file + ".json"
		if *writeManifests {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, %v: got\n%s", file, err, got)
		}

		var m api.Manifest // as others know it
		d := json.NewDecoder(bytes.NewReader(got))
		d.DisallowUnknownFields()
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		command := m.Features.SlashCommands[0]
		if command.Url != c.hook || m.Settings.Interactivity.RequestUrl != c.hook || !m.Settings.Interactivity.IsEnabled || m.Settings.SocketModeEnabled != c.socket ||
			m.Settings.EventSubscriptions != nil || m.Settings.OrgDeployEnabled || m.Settings.TokenRotationEnabled ||
			!slices.Equal(m.OAuthConfig.Scopes.Bot, []string{"chat:write", "chat:write.public", "commands"}) {
			t.Errorf("%s: %+v", file, m)
		}
		if len(m.Display.Name) > 35 || len(m.Display.Description) > 140 || len(m.Features.BotUser.DisplayName) > 80 ||
			len(command.Command) > 32 || len(command.Description) > 2000 || len(command.UsageHint) > 1000 {
			t.Errorf("%s: more than Slack takes: %+v", file, m)
		}
	}
}

func TestNoManifestForAPortalThatSlackCannotReach(t *testing.T) {
	for _, url := range []string{"", "http://deploy.example.org", "deploy.example.org", "https://", "%"} {
		if _, err := Manifest(url, false); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%q: %v", url, err)
		}
	}
}
