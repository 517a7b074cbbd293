package main

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sort"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"deployportal/devstack/workloads"
)

// created is in every image: the same request gives the same digests.
var created = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func foreignArch() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

// part is one platform of an image.
type part struct {
	arch  string
	image v1.Image
}

// foreignProgram turns the program into one of another platform as far as the kernel looks: it changes the machine in the
// ELF header. Nothing ever runs it, and compiling everything once more for that would take a minute.
func foreignProgram(program []byte) ([]byte, error) {
	const machineAt = 18 // e_machine, two bytes, lowest first
	if len(program) < machineAt+2 || string(program[:4]) != "\x7fELF" {
		return nil, errors.New("the program is no ELF file")
	}
	machine := elf.EM_AARCH64
	if foreignArch() == "amd64" {
		machine = elf.EM_X86_64
	}
	foreign := bytes.Clone(program)
	binary.LittleEndian.PutUint16(foreign[machineAt:], uint16(machine))
	return foreign, nil
}

// partsOf builds what the index of the image is going to list.
func partsOf(program []byte, image workloads.Image) ([]part, error) {
	other, err := foreignProgram(program)
	if err != nil {
		return nil, err
	}
	type choice struct {
		arch    string
		program []byte
	}
	native, foreign := choice{runtime.GOARCH, program}, choice{foreignArch(), other}
	choices, ok := map[string][]choice{
		workloads.Both:           {native, foreign},
		workloads.NativeOnly:     {native},
		workloads.ForeignOnly:    {foreign},
		workloads.ForeignProgram: {{runtime.GOARCH, other}},
	}[image.Platforms]
	if !ok {
		return nil, fmt.Errorf("no such platforms: %q", image.Platforms)
	}
	var parts []part
	for _, c := range choices {
		layer, err := programLayer(c.program, "app")
		if err != nil {
			return nil, err
		}
		labels := map[string]string{
			"org.opencontainers.image.revision": image.Env["WORKLOAD_VERSION"],
			"org.opencontainers.image.title":    image.Repository,
		}
		built, err := imageOf(layer, c.arch, []string{"/app"}, image.Env, labels)
		if err != nil {
			return nil, err
		}
		if image.Variant != "" {
			built = mutate.Annotations(built, map[string]string{"devstack.variant": image.Variant}).(v1.Image)
		}
		parts = append(parts, part{c.arch, built})
	}
	return parts, nil
}

func pushImage(ctx context.Context, app string, request workloads.Request, image workloads.Image) (workloads.Pushed, error) {
	pushed := workloads.Pushed{
		Reference: request.Registry + "/" + image.Repository + ":" + image.Tag,
		Manifests: map[string]string{}, Configs: map[string]string{},
	}
	tag, err := name.NewTag(pushed.Reference)
	if err != nil {
		return pushed, fmt.Errorf("understand the image's name: %w", err)
	}
	options := []remote.Option{remote.WithContext(ctx)}
	if request.Username != "" {
		options = append(options, remote.WithAuth(&authn.Basic{Username: request.Username, Password: request.Password}))
	}
	program, err := os.ReadFile(app)
	if err != nil {
		return pushed, fmt.Errorf("read program: %w", err)
	}
	parts, err := partsOf(program, image)
	if err != nil {
		return pushed, err
	}
	for _, part := range parts {
		digest, err := part.image.Digest()
		if err != nil {
			return pushed, fmt.Errorf("digest of the manifest: %w", err)
		}
		config, err := part.image.ConfigName()
		if err != nil {
			return pushed, fmt.Errorf("digest of the config: %w", err)
		}
		pushed.Manifests["linux/"+part.arch], pushed.Configs["linux/"+part.arch] = digest.String(), config.String()
	}
	if image.Platforms == workloads.NativeOnly {
		pushed.Digest = pushed.Manifests["linux/"+runtime.GOARCH]
		return pushed, remote.Write(tag, parts[0].image, options...)
	}
	index, err := indexOf(parts, !image.WithoutAttestation)
	if err != nil {
		return pushed, err
	}
	digest, err := index.Digest()
	if err != nil {
		return pushed, fmt.Errorf("digest of the index: %w", err)
	}
	pushed.Digest = digest.String()
	return pushed, remote.WriteIndex(tag, index, options...)
}

// indexOf lists the parts and, after them, an attestation for each, the way buildx does it: manifests of the platform
// unknown/unknown that name the manifest they speak of.
func indexOf(parts []part, attest bool) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range parts {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: p.image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: p.arch}},
		})
	}
	for _, p := range parts {
		if !attest {
			break
		}
		digest, err := p.image.Digest()
		if err != nil {
			return nil, fmt.Errorf("digest of the manifest: %w", err)
		}
		statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v0.2",`+
			`"subject":[{"name":"devstack","digest":{"sha256":%q}}],"predicate":{"builder":{"id":"devstack"}}}`, digest.Hex)
		attestation, err := mutate.Append(ociEmpty(), mutate.Addendum{
			Layer:       static.NewLayer([]byte(statement), "application/vnd.in-toto+json"),
			Annotations: map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"},
		})
		if err != nil {
			return nil, fmt.Errorf("build attestation: %w", err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: attestation, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{
				"vnd.docker.reference.digest": digest.String(), "vnd.docker.reference.type": "attestation-manifest",
			},
		}})
	}
	return index, nil
}

func ociEmpty() v1.Image {
	return mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
}

// imageOf puts a config around one layer.
func imageOf(layer v1.Layer, arch string, command []string, env, labels map[string]string) (v1.Image, error) {
	image, err := mutate.Append(ociEmpty(), mutate.Addendum{
		Layer: layer, History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "devstack"},
	})
	if err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	var variables []string
	for name, value := range env {
		variables = append(variables, name+"="+value)
	}
	sort.Strings(variables)
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("build config: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", arch, v1.Time{Time: created}
	file.Config = v1.Config{Entrypoint: command, Env: variables, Labels: labels, WorkingDir: "/", User: "65532:65532"}
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	return image, nil
}

// programLayer is a layer with nothing but the program in it.
func programLayer(content []byte, as string) (v1.Layer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{Name: as, Mode: 0o755, Size: int64(len(content)), ModTime: created, Typeflag: tar.TypeReg}
	if err := w.WriteHeader(header); err != nil {
		return nil, fmt.Errorf("build layer: %w", err)
	}
	if _, err := w.Write(content); err != nil {
		return nil, fmt.Errorf("build layer: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("build layer: %w", err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("build layer: %w", err)
	}
	return layer, nil
}
