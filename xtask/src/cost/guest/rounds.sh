
# Measures every server on every target, data path and job, round by round.
#
# In: REVISIONS (`-`: bvecd alone; `- base`: and another revision's, as bvecd-base), PEERS (1: the others too), FLOOR (1: and
# the server that answers at once).

loop_backing=/root/loop-backing
# On tmpfs: what fio and bvecd share, for the data path shared-memory.
shared=/dev/shm/fio
nbd_device=/dev/nbd15

# bvecd_round ROUND REVISION TARGET DATA_PATH/TRANSPORT
bvecd_round() {
    suffix_of=
    [ "$2" = - ] || suffix_of=-$2
    add_device "$suffix_of" "$3" "$4" || return 4
    fio_words=
    case $4 in shared-memory/*)
        ctl "$suffix_of" buffer add "$shared" --dev "$number" >buffer.log 2>&1 || die "bvecctl buffer add: $(cat buffer.log)"
        fio_words=--iomem=mmapshared:$shared ;;
    esac
    run "$1" bvecd "$2" "$3" "$4" "/dev/ublkb$number"
    fio_words=
    case $4 in shared-memory/*)
        ctl "$suffix_of" --json stats --dev "$number" >stats.json && grep -q '"copied":0[,}]' stats.json ||
            die "not every request was in shared memory: $(cat stats.json)" ;;
    esac
    delete_device "$suffix_of" "$number"
}

rublk_round() {
    number=$((number + 1))
    round=$1 target=$2 data_path=$3 kind=$2
    set --
    case $target in
    loop) set -- "$@" --file "$backing" --buffered-io ;;
    esac
    [ "$data_path" != auto-zero-copy ] || set -- "$@" --zero-copy
    rublk add "$kind" --number "$number" --queue 1 --depth "$queue_depth" \
        --io-buf-size "${max_io_kib}KiB" --quiet "$@" >add.log 2>&1 ||
        die "rublk add $target: $(cat add.log)"
    await test -b "/dev/ublkb$number" || die "rublk made no device: $(cat add.log)"
    run "$round" rublk - "$target" "$data_path/per-io" "/dev/ublkb$number"
    # It sometimes panics although the device goes; what counts is that it goes.
    rublk del --number "$number" >del.log 2>&1
    await gone "/dev/ublkb$number" || die "rublk del: $(cat del.log)"
}

# The kernel's NBD client with nbdkit. Its end is waited for, so that the device is free again.
nbd_round() {
    case $2 in
    null) plugin="null $((size_mib * 1048576))" ;;
    loop) plugin="file $backing" ;;
    *) return ;;
    esac
    rm -f nbd.sock
    # The plugin is two words.
    setsid nbdkit --foreground --unix "$PWD/nbd.sock" $plugin >nbd.log 2>&1 &
    nbd=$!
    await test -S nbd.sock || die "nbdkit does not answer: $(cat nbd.log)"
    nbd-client -unix "$PWD/nbd.sock" "$nbd_device" -block-size 512 >client.log 2>&1 || die "nbd-client: $(cat client.log)"
    run "$1" nbd - "$2" -/- "$nbd_device"
    nbd-client -d "$nbd_device" >client.log 2>&1 || die "nbd-client -d: $(cat client.log)"
    kill "$nbd"
    wait "$nbd"
}

# The server that answers at once: what everybody pays.
floor_round() {
    number=$((number + 1))
    round=$1 way=$2
    setsid commit_at_once "$number" "${way%/*}" "${way#*/}" $((size_mib * 1048576)) >floor.log 2>&1 &
    floor=$!
    await test -b "/dev/ublkb$number" || die "the floor made no device: $(cat floor.log)"
    run "$round" floor - null "$way" "/dev/ublkb$number"
    kill "$floor"
    wait "$floor" || die "the floor failed: $(cat floor.log)"
}

for revision in $REVISIONS; do
    [ "$revision" = - ] && start_bvecd "" || start_bvecd "-$revision"
done

if [ "$PEERS" = 1 ]; then
    cp $backing $loop_backing
    losetup /dev/loop0 $loop_backing || die "no loop device"
    has_nbd=1
    command -v nbdkit >/dev/null && command -v nbd-client >/dev/null && [ -b "$nbd_device" ] || has_nbd=0
fi

case " $WAYS " in *shared-memory*)
    mkdir -p /dev/shm
    grep -q ' /dev/shm ' /proc/mounts || mount -t tmpfs tmpfs /dev/shm || die "no tmpfs"
    dd if=/dev/zero of=$shared bs=1M count=16 2>/dev/null || die "no memory to share" ;;
esac

this=1
while [ "$this" -le "$ROUNDS" ]; do
    # What is compared follows each other: another revision, a server's peer, and then the other data paths.
    for kind_of in $TARGETS; do
        for path in $WAYS; do
            for revision in $REVISIONS; do
                bvecd_round "$this" "$revision" "$kind_of" "$path" || continue 2
            done
            # rublk has these two ways.
            case $PEERS$path in 1copy/per-io | 1auto-zero-copy/per-io) rublk_round "$this" "$kind_of" "${path%/*}" ;; esac
        done
    done
    [ "$FLOOR" = 0 ] || for path in $WAYS; do
        floor_round "$this" "$path"
    done
    if [ "$PEERS" = 1 ]; then
        run "$this" null_blk - null -/- /dev/nullb0
        run "$this" loop - loop -/- /dev/loop0
        [ "$has_nbd" = 0 ] || for kind_of in $TARGETS; do
            nbd_round "$this" "$kind_of"
        done
    fi
    this=$((this + 1))
done
