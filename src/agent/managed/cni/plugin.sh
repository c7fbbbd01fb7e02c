#!/bin/sh
# A chained CNI plugin: has the node's agent capture a new Pod's traffic before any of its containers starts, and fails closed. It
# needs nothing of the node but a POSIX shell, awk and coreutils, and is complete: lines before this text set `folder`, where agent
# and plugin meet:
#   agent             process id and start time of the agent
#   selected/NAME     a file for each namespace whose Pods get sidecars, as the agent knew last
#   requests/ID       what is asked: lines NAME=VALUE, an empty one, and the network's configuration
#   answers/ID        `ok`, or `error` with the error in JSON on the next line
set -u
umask 077

config=$(cat)
version=$(printf '%s' "$config" | awk 'match($0, /"cniVersion"[ \t]*:[ \t]*"[0-9.]+"/) {
  text = substr($0, RSTART, RLENGTH); sub(/^.*:[ \t]*"/, "", text); sub(/"$/, "", text); print text; exit }')

fail() {
  printf '{"cniVersion":"%s","code":%s,"msg":"%s"}\n' "${version:-1.0.0}" "$1" "$2"
  exit 1
}

# A chained plugin answers with what those before it came to: the value of the member `prevResult`, as it is written.
previous() {
  printf '%s' "$config" | awk '
    { text = text $0 "\n" }
    END {
      depth = 0; quoted = 0; from = 0; key = ""; word = ""
      for (at = 1; at <= length(text); at++) {
        c = substr(text, at, 1)
        if (quoted) {
          if (c == "\\") { word = word c substr(text, at + 1, 1); at++ }
          else if (c == "\"") { quoted = 0; if (depth == 1 && !from) key = word }
          else word = word c
        }
        else if (c == "\"") { quoted = 1; word = "" }
        else if (c == "{" || c == "[") {
          if (depth == 1 && key == "prevResult" && !from) from = at
          depth++
        }
        else if (c == "}" || c == "]") {
          depth--
          if (from && depth == 1) { print substr(text, from, at - from + 1); exit }
        }
        else if (c == "," && depth == 1) key = ""
      }
    }'
}

# The agent that wrote its id, and no later process with that id. The start time is the 22nd field; the second may hold blanks.
agent_runs() {
  { read -r pid started < "$folder/agent"; } 2> /dev/null || return 1
  { IFS= read -r stat < "/proc/$pid/stat"; } 2> /dev/null || return 1
  set -- ${stat##*) }
  [ "${20}" = "$started" ]
}

argument() {
  printf '%s' "${CNI_ARGS:-}" | tr ';' '\n' | awk -F= -v name="$1" '$1 == name { print $2; exit }'
}

# Puts the request and waits for its answer, as long as an agent runs: some forty seconds, longer than the agent waits for a Pod's proxy.
ask() {
  id="$$-${CNI_CONTAINERID:-none}"
  mkdir -p "$folder/requests" "$folder/answers" || return 1
  {
    printf 'command=%s\ncontainer=%s\nnetwork=%s\nargs=%s\n\n' \
      "$CNI_COMMAND" "${CNI_CONTAINERID:-}" "${CNI_NETNS:-}" "${CNI_ARGS:-}"
    printf '%s\n' "$config"
  } > "$folder/requests/.$id" || return 1
  mv "$folder/requests/.$id" "$folder/requests/$id"
  tries=0
  while [ "$tries" -lt 800 ]; do
    if [ -e "$folder/answers/$id" ]; then
      answer=$(cat "$folder/answers/$id")
      rm -f "$folder/answers/$id"
      return 0
    fi
    agent_runs || break
    tries=$((tries + 1))
    sleep 0.05
  done
  rm -f "$folder/requests/$id"
  return 1
}

case "${CNI_COMMAND:-}" in
VERSION)
  echo '{"cniVersion":"1.0.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}'
  ;;
# Pods that get no sidecar can be made whether an agent runs or not; what goes with a Pod, the agent sees by itself.
STATUS | GC | DEL | CHECK) ;;
ADD)
  answer=
  if agent_runs && ask; then
    case "$answer" in
    ok*) ;;
    *)
      printf '%s\n' "$answer" | tail -n +2
      exit 1
      ;;
    esac
  elif [ -e "$folder/selected/$(argument K8S_POD_NAMESPACE)" ]; then
    fail 11 "the mesh's agent of this node does not answer: Pods of this namespace get their sidecars from it; try again later"
  fi
  result=$(previous)
  [ -n "$result" ] || fail 7 "weft-cni is a chained plugin: put it after others in the list of plugins"
  printf '%s\n' "$result"
  ;;
*)
  fail 4 "CNI_COMMAND is not one of ADD, DEL, CHECK, GC, STATUS, VERSION"
  ;;
esac
