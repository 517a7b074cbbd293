package kube

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"
)

// A dead connection is noticed by HTTP/2 pings: after pingAfter without a frame one is sent, and pingWait later the
// connection is given up. client-go's own transport takes 45 s for that.
const (
	dialWait  = 3 * time.Second
	pingAfter = 4 * time.Second
	pingWait  = 3 * time.Second
)

// wire is one way to an API server: its own connections, which can be cut, and the clients on top. Two wires to the
// same server share nothing.
type wire struct {
	apps, core, policy, scaling *rest.RESTClient

	params runtime.ParameterCodec
	dialer *connrotation.Dialer
	http2  *http.HTTP2Config
	idle   func()
}

// newWire makes the clients. limit is how many requests a second they may send, with twice that in a burst.
func newWire(cfg *rest.Config, limit float32) (*wire, error) {
	w := &wire{idle: func() {}, http2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingWait, WriteByteTimeout: pingAfter + pingWait}}
	client, err := w.httpClient(cfg)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, policyv1.AddToScheme, autoscalingv2.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("build the scheme: %w", err)
		}
	}
	w.params = runtime.NewParameterCodec(scheme)
	codecs := serializer.NewCodecFactory(scheme)
	rc := func(gv schema.GroupVersion, path string) (*rest.RESTClient, error) {
		own := rest.CopyConfig(cfg)
		own.APIPath = path
		own.GroupVersion = &gv
		own.NegotiatedSerializer = codecs.WithoutConversion()
		own.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
		own.ContentType = "application/json"
		own.QPS = limit
		own.Burst = int(2 * limit)
		own.WarningHandler = rest.NoWarnings{}
		return rest.RESTClientForConfigAndClient(own, client)
	}
	for _, g := range []struct {
		client **rest.RESTClient
		gv     schema.GroupVersion
		path   string
	}{
		{&w.apps, appsv1.SchemeGroupVersion, "/apis"}, {&w.core, corev1.SchemeGroupVersion, "/api"},
		{&w.policy, policyv1.SchemeGroupVersion, "/apis"}, {&w.scaling, autoscalingv2.SchemeGroupVersion, "/apis"},
	} {
		if *g.client, err = rc(g.gv, g.path); err != nil {
			return nil, fmt.Errorf("rest.RESTClientForConfigAndClient(%s): %w", g.gv, err)
		}
	}
	return w, nil
}

// httpClient builds the transport by hand, because the one client-go builds is shared through a process-wide cache
// that never lets go of it. A config with a transport of its own keeps that.
func (w *wire) httpClient(cfg *rest.Config) (*http.Client, error) {
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialWait, KeepAlive: 15 * time.Second}).DialContext
	}
	w.dialer = connrotation.NewDialer(connrotation.DialFunc(dial))
	base := cfg.Transport
	if base == nil {
		tls, err := rest.TLSConfigFor(cfg)
		if err != nil {
			return nil, fmt.Errorf("rest.TLSConfigFor: %w", err)
		}
		proxy := cfg.Proxy
		if proxy == nil {
			proxy = http.ProxyFromEnvironment
		}
		t := &http.Transport{
			Proxy:               proxy,
			DialContext:         w.dialer.DialContext,
			TLSClientConfig:     tls,
			TLSHandshakeTimeout: dialWait,
			ForceAttemptHTTP2:   true,
			HTTP2:               w.http2,
			MaxIdleConnsPerHost: 16,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  cfg.DisableCompression,
		}
		w.idle = t.CloseIdleConnections
		base = t
	}
	rt, err := rest.HTTPWrappersForConfig(cfg, base)
	if err != nil {
		return nil, fmt.Errorf("rest.HTTPWrappersForConfig: %w", err)
	}
	return &http.Client{Transport: rt}, nil
}

// unpinged readies a wire that is used once and cut: the pings' timer would keep a closed connection, with all that its
// buffers hold, for some seconds more.
func (w *wire) unpinged() *wire {
	w.http2.SendPingTimeout = 0
	return w
}

// cut closes every connection, whatever is under way on it.
func (w *wire) cut() {
	w.idle()
	w.dialer.CloseAll()
}

// rest is where the API server keeps a kind.
func (w *wire) rest(k kind) *rest.RESTClient {
	if k.group == "apps" {
		return w.apps
	}
	return w.core
}

// get asks for a path that is no object, such as /readyz, and gives the answer's status and body.
func (w *wire) get(ctx context.Context, path string) (int, []byte, error) {
	var status int
	res := w.core.Get().AbsPath(path).MaxRetries(0).Do(ctx).StatusCode(&status)
	b, err := res.Raw()
	return status, b, err
}
