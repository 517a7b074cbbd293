package scenario_test

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// smoked are rollouts whose pods are all ready, and what people get all the same. The requests go through the real
// kube-proxy; that an answer names the deployed tag is asked of each.
func smoked() []scenario {
	const all = `smoke: [{url: "http://%s:%d/", timeout: %s, body: {contains: "{sha}"}%s}]`
	return []scenario{
		{key: "smoke", name: "smoke probes through every node", within: definite + stable, ready: func(st *stage) { st.service("api", "") },
			smoke: func(_ *world, port int) string {
				return fmt.Sprintf(all, "app.example.org", port, "5s", ", per_node: true")
			},
			status: "Succeeded", sentence: says(`2 of 2 pods run ` + next + ` and stayed well for 10 s\.`),
			shows: []string{"150 of 150 requests answered, p99 ", "node-1 (10.", "node-2 (10."}, no: []string{"not proven"}},
		{key: "ghost", name: "a ghost among the Service's addresses", named: definite + stable + 15*time.Second, within: definite + stable + 15*time.Second, ready: haunt,
			smoke:  func(_ *world, port int) string { return fmt.Sprintf(all, "127.0.0.1", port, "300ms", "") },
			status: "Failed", title: "Smoke probes",
			// A half, by chance: five standard deviations to each side. That it was about every second is said when it is that close.
			sentence: says(`^(4[5-9]|[5-9]\d|10[0-5]) of 150 requests to http://127\.0\.0\.1:\d+/ failed: (no answer within 0\.3 s|no route to host)`), shows: []string{"Serving now: 2 pods of " + next}},
		{key: "firewall", name: "the path through one of three addresses is blocked", named: definite + stable + 10*time.Second, within: definite + stable + 10*time.Second, ready: firewall,
			smoke: func(w *world, _ int) string {
				return fmt.Sprintf(all, "app.example.org", 80, "1s", fmt.Sprintf(", addresses: [%s, %s, %s]", w.path(1), w.path(2), w.path(3)))
			},
			status: "Failed", title: "Smoke probes",
			sentence: says(`^50 of 150 requests to http://app\.example\.org:80/ failed: no answer within 1 s\. All 50 to 10(\.\d+){2}\.242 failed; every other address answered\.$`)},
	}
}

// path is an address at which kube-proxy takes requests for one Service. It lies in a node's pod network, so that the
// machine has a way to it, where no pod gets one.
func (w *world) path(n int) string { return fmt.Sprintf("%s.%d", w.network, 240+n) }

// service makes a Service of the scenario's pods: on its port of every node, or at an address.
func (st *stage) service(name, address string) *corev1.Service {
	st.t.Helper()
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Selector: map[string]string{"app": "api"},
		Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8000), NodePort: int32(st.w.ports[st.s.key])}}}}
	if address != "" {
		s.Spec.Type, s.Spec.Ports[0].NodePort, s.Spec.AllocateLoadBalancerNodePorts = corev1.ServiceTypeLoadBalancer, 0, new(bool)
		if address == st.w.path(2) {
			s.Spec.LoadBalancerSourceRanges = []string{"192.0.2.0/24"} // nobody is there
		}
	}
	services := st.ns.Admin.CoreV1().Services(st.ns.Name)
	s, err := services.Create(st.t.Context(), s, metav1.CreateOptions{})
	if err == nil && address != "" {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
		s, err = services.UpdateStatus(st.t.Context(), s, metav1.UpdateOptions{})
	}
	if err != nil {
		st.t.Fatal(err)
	}
	return s
}

// haunt gives the Service as many addresses at which nobody is as it has pods.
func haunt(st *stage) {
	ready, port, proto := true, int32(8000), corev1.ProtocolTCP
	s := st.service("api", "")
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "ghost", Labels: map[string]string{discoveryv1.LabelServiceName: s.Name, discoveryv1.LabelManagedBy: "scenario"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: &port, Protocol: &proto}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{st.w.network + ".251"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}},
			{Addresses: []string{st.w.network + ".252"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	}
	if _, err := st.ns.Admin.DiscoveryV1().EndpointSlices(st.ns.Name).Create(st.t.Context(), slice, metav1.CreateOptions{}); err != nil {
		st.t.Fatal(err)
	}
}

// firewall makes three ways to the app; kube-proxy lets nobody through the second.
func firewall(st *stage) {
	for n := 1; n <= 3; n++ {
		st.service(fmt.Sprintf("path-%d", n), st.w.path(n))
	}
}
