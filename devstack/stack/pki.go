package stack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pki is the certificate authority of one start. Its keys live as long as the stack; a start makes new ones.
type pki struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// keyPair is a certificate and its key, in memory and as files.
type keyPair struct {
	certFile, keyFile string
	certPEM, keyPEM   []byte
}

// newPKI makes a certificate authority and writes its certificate to dir/ca.crt. The authority's own key is not written.
func newPKI(dir string) (*pki, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create folder for keys: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make CA key: %w", err)
	}
	template := certTemplate(pkix.Name{CommonName: "devstack"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make CA certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read CA certificate back: %w", err)
	}
	p := &pki{dir: dir, cert: cert, key: key, pem: pemBlock("CERTIFICATE", der)}
	if err := os.WriteFile(p.caFile(), p.pem, 0o600); err != nil {
		return nil, fmt.Errorf("write CA certificate: %w", err)
	}
	return p, nil
}

func (p *pki) caFile() string { return filepath.Join(p.dir, "ca.crt") }

// issue makes a certificate that serves 127.0.0.1 and proves a client's name and group to the API server.
func (p *pki) issue(name, user, group string) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("make key %s: %w", name, err)
	}
	subject := pkix.Name{CommonName: user}
	if group != "" {
		subject.Organization = []string{group}
	}
	template := certTemplate(subject)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default.svc"}
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, key.Public(), p.key)
	if err != nil {
		return keyPair{}, fmt.Errorf("make certificate %s: %w", name, err)
	}
	return p.write(name, pemBlock("CERTIFICATE", der), key)
}

// signer makes the key that signs ServiceAccount tokens; only the key file is written.
func (p *pki) signer() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make token signing key: %w", err)
	}
	pair, err := p.write("service-account", nil, key)
	return pair.keyFile, err
}

func (p *pki) write(name string, certPEM []byte, key *ecdsa.PrivateKey) (keyPair, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return keyPair{}, fmt.Errorf("encode key %s: %w", name, err)
	}
	pair := keyPair{
		keyFile: filepath.Join(p.dir, name+".key"), keyPEM: pemBlock("EC PRIVATE KEY", der),
		certFile: filepath.Join(p.dir, name+".crt"), certPEM: certPEM,
	}
	if err := os.WriteFile(pair.keyFile, pair.keyPEM, 0o600); err != nil {
		return keyPair{}, fmt.Errorf("write key %s: %w", name, err)
	}
	if certPEM == nil {
		return pair, nil
	}
	if err := os.WriteFile(pair.certFile, certPEM, 0o600); err != nil {
		return keyPair{}, fmt.Errorf("write certificate %s: %w", name, err)
	}
	return pair, nil
}

func certTemplate(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic("crypto/rand: " + err.Error()) // documented never to happen
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(30 * 24 * time.Hour), // longer than anybody leaves a demo running
	}
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
