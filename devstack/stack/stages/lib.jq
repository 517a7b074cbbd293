# What the selectors ask about a pod. Put before every selector expression.
def tag: .spec.containers[0].image | split("@")[0] | split("/")[-1] | (split(":")[1] // "");
def behaviour: tag
  | if startswith("bad0") then "crashes"
    elif startswith("bad1") then "never-ready"
    elif startswith("bad2") then "unpullable"
    elif startswith("bad3") then "exits-late"
    elif startswith("510") then "slow"
    else "good" end;
def condition($type): [.status.conditions[]? | select(.type == $type) | .status][0];
def container: .status.containerStatuses[0];
def state: container.state // {} | keys[0] // "none";
def waiting: container.state.waiting.reason // "";
def ready: condition("Ready") == "True";
def restarts: container.restartCount // 0;
def failed_probes: .metadata.annotations["devstack/failed-probes"] // "0" | tonumber;
def deleted: .metadata.deletionTimestamp != null;
