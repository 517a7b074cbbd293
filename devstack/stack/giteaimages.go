package stack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

const (
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	inToto      = "application/vnd.in-toto+json"
)

// sampleImage pushes one image's parts. The first fault ends it; what follows does nothing.
type sampleImage struct {
	ctx    context.Context
	ci     giteaAPI
	image  string
	labels object
	err    error
}

// pushSampleImage pushes what a CI does, amd64 and arm64 with a provenance attestation each, or a plain amd64 image,
// and gives the digest its tag then names.
func pushSampleImage(ctx context.Context, ci giteaAPI, image, tag string, plain bool) (string, error) {
	p := &sampleImage{ctx: ctx, ci: ci, image: image, labels: object{"org.opencontainers.image.revision": tag}}
	if plain {
		d := p.platform(tag, tag, "amd64")
		return d["digest"].(string), p.err
	}
	var images, attestations []object
	for _, arch := range []string{"amd64", "arm64"} {
		d := p.platform("", tag, arch)
		images, attestations = append(images, d), append(attestations, p.attest(d))
	}
	d := p.manifest(tag, object{"schemaVersion": 2, "mediaType": ociIndex, "manifests": append(images, attestations...)}, ociIndex)
	return d["digest"].(string), p.err
}

func (p *sampleImage) platform(ref, tag, arch string) object {
	layer, diffID := sampleLayer(p.image + ":" + tag + " for " + arch + "\n")
	config := p.blob(ociConfig, encodeJSON(object{
		"architecture": arch, "os": "linux", "created": "2026-01-01T00:00:00Z", // a fixed time, as a reproducible build has
		"config": object{"Entrypoint": []string{"/app"}, "Labels": p.labels},
		"rootfs": object{"type": "layers", "diff_ids": []string{diffID}},
	}))
	d := p.manifest(ref, object{"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": []object{p.blob(ociLayer, layer)}}, ociManifest)
	d["platform"] = object{"architecture": arch, "os": "linux"}
	return d
}

func (p *sampleImage) attest(of object) object {
	statement := encodeJSON(object{"_type": "https://in-toto.io/Statement/v0.1", "subject": []object{{"digest": of["digest"]}}})
	config := p.blob(ociConfig, encodeJSON(object{
		"architecture": "unknown", "os": "unknown", "config": object{},
		"rootfs": object{"type": "layers", "diff_ids": []string{sha256Of(statement)}},
	}))
	d := p.manifest("", object{"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": []object{p.blob(inToto, statement)}}, ociManifest)
	d["platform"] = object{"architecture": "unknown", "os": "unknown"}
	d["annotations"] = object{"vnd.docker.reference.digest": of["digest"], "vnd.docker.reference.type": "attestation-manifest"}
	return d
}

func (p *sampleImage) blob(mediaType string, content []byte) object {
	digest := sha256Of(content)
	p.send(http.MethodPost, "blobs/uploads/?digest="+digest, "application/octet-stream", content)
	return object{"mediaType": mediaType, "digest": digest, "size": len(content)}
}

// manifest pushes under a tag or, without one, under its digest.
func (p *sampleImage) manifest(ref string, content object, mediaType string) object {
	text := encodeJSON(content)
	digest := sha256Of(text)
	if ref == "" {
		ref = digest
	}
	p.send(http.MethodPut, "manifests/"+ref, mediaType, text)
	return object{"mediaType": mediaType, "digest": digest, "size": len(text)}
}

func (p *sampleImage) send(method, path, mediaType string, content []byte) {
	if p.err != nil {
		return
	}
	req, err := http.NewRequestWithContext(p.ctx, method, p.ci.base+"/v2/"+p.image+"/"+path, bytes.NewReader(content))
	if err != nil {
		p.err = err
		return
	}
	req.SetBasicAuth(giteaCI, p.ci.token)
	req.Header.Set("Content-Type", mediaType)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.err = err
		return
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusCreated {
		p.err = fmt.Errorf("%s %s %s: %s: %.300s (%v)", method, p.image, path, res.Status, text, err)
	}
}

func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("devstack: sample image cannot be encoded: %v", err)) // made of maps and strings only
	}
	return b
}

func sha256Of(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// sampleLayer is a compressed tar of one file.
func sampleLayer(content string) (layer []byte, diffID string) {
	var raw, packed bytes.Buffer
	t := tar.NewWriter(&raw)
	// Writes to memory do not fail.
	_ = t.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(content))})
	_, _ = t.Write([]byte(content))
	_ = t.Close()
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(raw.Bytes())
	_ = z.Close()
	return packed.Bytes(), sha256Of(raw.Bytes())
}
