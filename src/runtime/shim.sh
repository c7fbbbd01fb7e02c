# Runs one program and outlives whoever asked for it. The file that a process is started with is this text after lines that set:
#   folder     where its state is kept: started, pid, exit, log, log.1
#   notify     a file that is touched when `pid` and `exit` appear
#   log_bytes  size at which `log` becomes `log.1`
#   hostname   the program's host name, or nothing
#   uid        the program's user, or nothing for root
#   gid        the program's group
# and three functions: `enter`, which enters the program's control groups, `mounts`, which binds files in this process's own mount
# namespace, and `run`, which is given a prefix and runs it with the program.
#
# It is started in the program's network, mount and UTS namespaces, in a session of its own, as a child of init. It waits, so
# that the exit code is known even when nobody else was there, and holds about a megabyte.
set -u

# The 22nd field of /proc/PID/stat is the start time; the second may hold blanks and brackets.
start_of() {
  IFS= read -r stat < "/proc/$1/stat" || return 1
  set -- ${stat##*) }
  echo "${20}"
}
read -r boot < /proc/sys/kernel/random/boot_id
me="$$ $(start_of $$)"

# At most one start per folder, however often it is tried.
( set -C; echo "$me $boot" > "$folder/started" ) 2> /dev/null || exit 0

# The date of BusyBox knows no parts of a second.
milliseconds() {
  now=$(date +%s%3N)
  case $now in *[!0-9]*) now=${now%%[!0-9]*}000 ;; esac
  echo "$now"
}

finish() {
  echo "$1 $(milliseconds)" > "$folder/exit.new"
  mv "$folder/exit.new" "$folder/exit"
  : > "$notify"
}

fail() {
  echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) weft: $1" > "$folder/log"
  finish 128
  exit 1
}

[ -z "$hostname" ] || echo "$hostname" > /proc/sys/kernel/hostname || fail "the host name could not be set"
enter || fail "the control groups could not be entered"
mounts || fail "files could not be mounted"

# Every line gets its time; the log is bounded by the program that writes it, so nobody else is needed.
# Also a program of another user may open its output anew, as /dev/stdout.
mkfifo -m 622 "$folder/output" || fail "the log could not be opened"
LC_ALL=C awk -W interactive -v log_file="$folder/log" -v limit="$log_bytes" '
  {
    now = systime()
    if (now != last) { last = now; stamp = strftime("%Y-%m-%dT%H:%M:%SZ", now, 1) }
    if (bytes > limit) {
      close(log_file)
      system("mv -f \"" log_file "\" \"" log_file ".1\"")
      bytes = 0
    }
    print stamp " " $0 > log_file
    fflush(log_file)
    bytes += length($0) + 22
  }' < "$folder/output" > /dev/null 2>&1 3>&- &

# The program leads a session of its own, so that its group can be ended as a whole, and never outlives this shell, so that
# what is recorded stays true: it is bound to it, and does not begin where this shell has ended before that.
bound='[ "$PPID" = "$0" ] && exec "$@"'
if [ -n "$uid" ]; then
  set -- --reuid="$uid" --regid="$gid" --clear-groups --no-new-privs
else
  set --
fi
run setsid setpriv "$@" --pdeathsig=KILL -- sh -c "$bound" "$$" > "$folder/output" 2>&1 &
pid=$!
exec 3>&-

echo "$me $pid $(start_of "$pid") $boot $(milliseconds)" > "$folder/pid.new"
mv "$folder/pid.new" "$folder/pid"
: > "$notify"

wait "$pid"
code=$?
# What the program left behind in its group ends with it.
kill -KILL -- "-$pid" 2> /dev/null
rm -f "$folder/output"
finish "$code"
