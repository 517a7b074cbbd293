{{- /* Pieces of a pod's status. Put before every template. */ -}}

{{- define "imageID" -}}
{{- $parts := splitList "@" .image -}}
{{- $digest := dig "metadata" "annotations" "devstack/digest" (printf "sha256:%s" (sha256sum .image)) .pod -}}
{{- if eq (len $parts) 2 }}{{ $digest = last $parts }}{{ end -}}
{{- regexReplaceAll ":[^:/]+$" (first $parts) "" }}@{{ $digest -}}
{{- end -}}

{{- /* dict pod spec state [last] [started] [ready] [restarts] [pulled] */ -}}
{{- define "container" -}}
- name: {{ .spec.name | Quote }}
  image: {{ .spec.image | Quote }}
  imageID: "{{ if .pulled }}{{ template "imageID" dict "image" .spec.image "pod" .pod }}{{ end }}"
  {{ if .pulled -}}
  containerID: containerd://{{ printf "%s/%s/%v" .pod.metadata.uid .spec.name (.restarts | default 0) | sha256sum }}
  {{ end -}}
  restartCount: {{ .restarts | default 0 }}
  started: {{ .started | default false }}
  ready: {{ .ready | default false }}
  state: {{ .state | toJson }}
  lastState: {{ .last | default dict | toJson }}
{{- end -}}

{{- /* A condition; its transition time stays while its status does. dict pod type status now [reason] [message] */ -}}
{{- define "condition" -}}
{{- $since := .now -}}
{{- range dig "status" "conditions" list .pod -}}
{{- if and (eq .type $.type) (eq .status $.status) }}{{ $since = .lastTransitionTime }}{{ end -}}
{{- end -}}
- type: {{ .type }}
  status: {{ .status | Quote }}
  lastTransitionTime: {{ $since | Quote }}
  reason: {{ .reason | toJson }}
  message: {{ .message | toJson }}
{{- end -}}

{{- /* The two conditions that follow the containers' readiness. dict pod now ready */ -}}
{{- define "readiness" -}}
{{- $names := list -}}
{{- range .pod.spec.containers }}{{ $names = append $names .name }}{{ end -}}
{{- $message := join " " $names | printf "containers with unready status: [%s]" -}}
{{- range $type := list "ContainersReady" "Ready" }}
{{ if $.ready -}}
{{ template "condition" dict "pod" $.pod "type" $type "status" "True" "now" $.now }}
{{- else -}}
{{ template "condition" dict "pod" $.pod "type" $type "status" "False" "now" $.now "reason" "ContainersNotReady" "message" $message }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* An event as a kubelet would write it. Told again it counts up. dict pod type reason message [container] [count] */ -}}
{{- define "event" -}}
{{- $now := Now -}}
{{- $count := .count | default 1 | int -}}
apiVersion: v1
kind: Event
metadata:
  name: {{ .pod.metadata.name }}.{{ printf "%s/%s/%s" .pod.metadata.uid .reason .message | sha256sum | trunc 16 }}
  namespace: {{ .pod.metadata.namespace }}
type: {{ .type }}
reason: {{ .reason }}
message: {{ .message | Quote }}
involvedObject:
  apiVersion: v1
  kind: Pod
  name: {{ .pod.metadata.name }}
  namespace: {{ .pod.metadata.namespace }}
  uid: {{ .pod.metadata.uid }}
  fieldPath: {{ .container | default (printf "spec.containers{%s}" (first .pod.spec.containers).name) | Quote }}
source:
  component: kubelet
  host: {{ .pod.spec.nodeName }}
reportingComponent: kubelet
reportingInstance: {{ .pod.spec.nodeName }}
{{ if eq $count 1 -}}
firstTimestamp: {{ $now | Quote }}
{{ end -}}
lastTimestamp: {{ $now | Quote }}
count: {{ $count }}
{{- end -}}
