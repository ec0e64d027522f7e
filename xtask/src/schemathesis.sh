# In the guest: a daemon with three devices, and the relay that brings requests to it. Ends with 0 if the daemon
# was still well at the end, and left nothing behind.
ifconfig eth0 "$ADDRESS" netmask 255.255.255.0 up || exit 1
mkdir -p /run/bvecd
bvecd --log warn 2>/root/bvecd.log &
daemon=$!
n=0
until test -S /run/bvecd/bvecd.sock; do
    n=$((n + 1)); test $n -lt 100 || { cat /root/bvecd.log; exit 1; }
    sleep 0.1
done
for id in 0 1 2; do
    bvecctl --json dev add ram --size 16M --id $id >/dev/null || exit 1
    bvecctl --json fault add bad 'hold where op=write' --dev $id >/dev/null || exit 1
done
bvecd-suite relay "$PORT" /run/bvecd/bvecd.sock || exit 1
bvecctl --json heal >/dev/null || { cat /root/bvecd.log; exit 1; }
kill -TERM $daemon
wait $daemon
code=$?
grep -i 'panic' /root/bvecd.log && exit 1
for node in /dev/ublkb*; do
    test -e "$node" && { echo "$node is left"; exit 1; }
done
exit $code
