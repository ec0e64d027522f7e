
# Measures every server on every target, data path and job, round by round.
#
# In: REVISIONS (`-`: bvecd alone; `- base`: and another revision's, as bvecd-base), PEERS (1: the others too), FLOOR (1: and
# the server that answers at once).

loop_backing=/root/loop-backing

# bvecd_round ROUND REVISION TARGET DATA_PATH/TRANSPORT
bvecd_round() {
    suffix_of=
    [ "$2" = - ] || suffix_of=-$2
    add_device "$suffix_of" "$3" "$4" || return 4
    run "$1" bvecd "$2" "$3" "$4" "/dev/ublkb$number"
    delete_device "$suffix_of" "$number"
}

rublk_round() {
    number=$((number + 1))
    round=$1 target=$2 data_path=$3 kind=$2
    set --
    case $target in
    loop) set -- "$@" --file "$backing" --buffered-io ;;
    brd) kind=loop; set -- "$@" --file /dev/ram0 ;;
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

case " $TARGETS " in *" brd "*)
    # Its size is a parameter, and it was loaded without.
    rmmod brd && insmod /bvecd/modules/brd.ko rd_nr=1 "rd_size=$((size_mib * 1024))" &&
        dd if=/dev/urandom of=/dev/ram0 bs=1M count=$size_mib 2>/dev/null || die "no brd" ;;
esac

for revision in $REVISIONS; do
    [ "$revision" = - ] && start_bvecd "" || start_bvecd "-$revision"
done

if [ "$PEERS" = 1 ]; then
    cp $backing $loop_backing
    losetup /dev/loop0 $loop_backing || die "no loop device"
fi

this=1
while [ "$this" -le "$ROUNDS" ]; do
    # What is compared follows each other: another revision, a server's peer, and then the other data paths.
    for kind_of in $TARGETS; do
        for path in $WAYS; do
            for revision in $REVISIONS; do
                bvecd_round "$this" "$revision" "$kind_of" "$path" || continue 2
            done
            if [ "$PEERS" = 1 ] && [ "${path#*/}" = per-io ]; then
                rublk_round "$this" "$kind_of" "${path%/*}"
            fi
        done
    done
    [ "$FLOOR" = 0 ] || for path in $WAYS; do
        floor_round "$this" "$path"
    done
    if [ "$PEERS" = 1 ]; then
        run "$this" null_blk - null -/- /dev/nullb0
        run "$this" loop - loop -/- /dev/loop0
    fi
    this=$((this + 1))
done
