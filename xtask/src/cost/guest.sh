# Runs in the guest. Measures every server on every target, data path and job, round by round, and
# leaves fio's reports in results/ROUND/PEER/TARGET/DATA_PATH/TRANSPORT/JOB.json.
#
# In: ROUNDS, END (fio's words for the end of a run), JOBS (names of job files), TARGETS (null, loop: a file
# on tmpfs, brd: a block device in memory, with O_DIRECT), WAYS (data paths and transports,
# DATA_PATH/TRANSPORT), PEERS (1: the others too), FLOOR (1: and the server that answers at once),
# AUTOGROUP (0: one scheduler group for all).
set -u

backing=/root/backing
loop_backing=/root/loop-backing
size_mib=64
queue_depth=128
max_io_kib=512
number=0

die() {
    echo "cost: $*" >&2
    exit 1
}

# Waits, five seconds at most, until a command succeeds.
await() {
    left=50
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.1
    done
}

gone() {
    [ ! -e "$1" ]
}

# run ROUND PEER TARGET DATA_PATH/TRANSPORT DEVICE
run() {
    # fio would make a regular file of a device that is not there.
    [ -b "$5" ] || die "$2 $3 $4: there is no block device $5"
    for job in $JOBS; do
        place=results/$1/$2/$3/$4
        mkdir -p "$place"
        # END is several words.
        fio --thread --allow_file_create=0 --filename="$5" --size=${size_mib}M --io_size=1T \
            --norandommap $END --output-format=json --output="$place/$job.json" \
            "fio-jobs/$job.fio" || die "$2 $3 $4: fio failed on $job"
    done
    echo "round $1: $2 $3 $4"
}

# bvecd_round ROUND TARGET DATA_PATH/TRANSPORT; a number is never used twice, for a device's end takes its time.
bvecd_round() {
    number=$((number + 1))
    kind=$2
    case $2 in
    loop) set -- "$@" --file "$backing" ;;
    brd) kind=loop; set -- "$@" --file /dev/ram0 --direct ;;
    null) set -- "$@" --size "${size_mib}M" ;;
    esac
    round=$1 target=$2 way=$3
    shift 3
    bvecctl dev add "$kind" --id "$number" --data-path "${way%/*}" --transport "${way#*/}" --queues 1 \
        --depth "$queue_depth" --max-io "${max_io_kib}K" "$@" >add.log 2>&1
    code=$?
    if [ "$code" = 4 ]; then
        echo "not applicable: $way, which this kernel has not" >&2
        return 4
    fi
    [ "$code" = 0 ] || die "bvecctl dev add $target: $(cat add.log)"
    run "$round" bvecd "$target" "$way" "/dev/ublkb$number"
    bvecctl dev del "$number" >del.log 2>&1 || die "bvecctl dev del: $(cat del.log)"
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
    run "$round" rublk "$target" "$data_path/per-io" "/dev/ublkb$number"
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
    run "$round" floor null "$way" "/dev/ublkb$number"
    kill "$floor"
    wait "$floor" || die "the floor failed: $(cat floor.log)"
}

case " $TARGETS " in *" brd "*)
    # Its size is a parameter, and it was loaded without.
    rmmod brd && insmod /bvecd/modules/brd.ko rd_nr=1 "rd_size=$((size_mib * 1024))" &&
        dd if=/dev/urandom of=/dev/ram0 bs=1M count=$size_mib 2>/dev/null || die "no brd" ;;
esac

[ "$AUTOGROUP" = 1 ] || echo 0 >/proc/sys/kernel/sched_autogroup_enabled
# Both files are written whole: a hole would be cheaper to read.
dd if=/dev/urandom of=$backing bs=1M count=$size_mib 2>/dev/null || die "no backing file"

# In a session of its own, as a service is, and as rublk makes itself. A session is a group of the
# scheduler (sched(7), autogroup), and who shares fio's group is woken far more often.
setsid bvecd --log warn >bvecd.log 2>&1 &
await bvecctl features || die "bvecd does not answer: $(cat bvecd.log)"

if [ "$PEERS" = 1 ]; then
    cp $backing $loop_backing
    losetup /dev/loop0 $loop_backing || die "no loop device"
fi

round=1
while [ "$round" -le "$ROUNDS" ]; do
    this=$round
    # What is compared follows each other: a server's peer, and then the other data paths.
    for kind_of in $TARGETS; do
        for path in $WAYS; do
            bvecd_round "$this" "$kind_of" "$path" || continue
            if [ "$PEERS" = 1 ] && [ "${path#*/}" = per-io ]; then
                rublk_round "$this" "$kind_of" "${path%/*}"
            fi
        done
    done
    [ "$FLOOR" = 0 ] || for path in $WAYS; do
        floor_round "$this" "$path"
    done
    if [ "$PEERS" = 1 ]; then
        run "$this" null_blk null -/- /dev/nullb0
        run "$this" loop loop -/- /dev/loop0
    fi
    round=$((this + 1))
done
