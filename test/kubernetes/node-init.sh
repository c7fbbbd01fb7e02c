# The first process of a node, in namespaces of its own: `node-init.sh FOLDER NAME`. Gives the node its own /run, /var, /etc and
# /opt, so that programs use their usual paths and leave nothing on the machine, and then waits for orphans.
set -eu
folder=$1
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind "$folder/var" /var
mount --bind "$folder/opt" /opt
mount -t overlay -o "lowerdir=/etc,upperdir=$folder/etc,workdir=$folder/etc-work" overlay /etc
mkdir -p /etc/cni/net.d
mount -t bpf bpf /sys/fs/bpf
hostname "$2"
touch "$folder/initialised"
while :; do
  sleep 86400 &
  wait "$!"
done
