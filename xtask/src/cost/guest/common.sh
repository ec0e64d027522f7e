# Runs in the guest, in front of each of the other scripts here. fio's reports go to
# results/ROUND/PEER/VARIANT/TARGET/DATA_PATH/TRANSPORT/JOB.json; where there is nothing to say stands `-`.
# Beside each lies JOB.queue if the server is bvecd: nanoseconds that the thread of its queue ran meanwhile.
#
# In: ROUNDS, END (fio's words for the end of a run), JOBS (names of job files), TARGETS (null, loop: a file
# on tmpfs), WAYS (data paths and transports,
# DATA_PATH/TRANSPORT), AUTOGROUP (0: one scheduler group for all).
set -u

backing=/root/backing
size_mib=64
queue_depth=128
max_io_kib=512
number=0
fio_words=

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

# The backing file is written whole: a hole would be cheaper to read.
fill_backing() {
    dd if=/dev/urandom of=$backing bs=1M count=$size_mib conv=notrunc 2>/dev/null || die "no backing file"
}

# queue_thread DEVICE: the thread that serves the only queue of a device of bvecd's; nothing for a peer's device.
queue_thread() {
    name=ublk${1#/dev/ublkb}q0
    for thread in /proc/[0-9]*/task/[0-9]*; do
        read -r this <"$thread/comm" && [ "$this" = "$name" ] && echo "$thread" && return
    done 2>/dev/null
}

# ran_ns THREAD: how long it has run (schedstat, first field: `sum_exec_runtime`).
ran_ns() {
    read -r nanoseconds rest <"$1/schedstat" || die "no schedstat of $1"
    echo "$nanoseconds"
}

# run ROUND PEER VARIANT TARGET DATA_PATH/TRANSPORT DEVICE [COMMAND...]: every job; the command runs fio.
run() {
    # fio would make a regular file of a device that is not there.
    [ -b "$6" ] || die "$2 $4 $5: there is no block device $6"
    run_title="round $1: $2 $3 $4 $5" run_place=results/$1/$2/$3/$4/$5 run_device=$6
    mkdir -p "$run_place"
    shift 6
    queue=$(queue_thread "$run_device")
    for job in $JOBS; do
        file=fio-jobs/$job.fio
        [ -e "$file" ] || file=cost-jobs/$job.fio
        [ -z "$queue" ] || before=$(ran_ns "$queue")
        case $job in write-zeroes-*)
            # fio has no such operation, and not every device of others.
            read -r most <"/sys/class/block/${run_device#/dev/}/queue/write_zeroes_max_bytes" && [ "$most" != 0 ] || continue
            "$@" write_zeroes "$run_device" $((size_mib * 1048576)) 4096 "${END#--number_ios=}" >"$run_place/$job.json" ||
                die "$run_title: no zeroes were written" ;;
        *)
        # END is several words, fio_words may be none.
        DEV="$run_device" "$@" fio --thread --allow_file_create=0 --filename="$run_device" --size=${size_mib}M --io_size=1T \
            --norandommap $END $fio_words --output-format=json --output="$run_place/$job.json" \
            "$file" || die "$run_title: fio failed on $job" ;;
        esac
        [ -z "$queue" ] || echo $(($(ran_ns "$queue") - before)) >"$run_place/$job.queue"
        # What was discarded or zeroed has become a hole.
        case $job in discard-* | write-zeroes-*) fill_backing ;; esac
    done
    echo "$run_title"
}

# ctl SUFFIX ARGUMENTS...: bvecctl, as it belongs to bvecdSUFFIX.
ctl() {
    suffix=$1
    shift
    client=bvecctl
    ! command -v "bvecctl$suffix" >/dev/null || client=bvecctl$suffix
    "$client" --socket "/run/bvecd$suffix/bvecd.sock" "$@"
}

# start_bvecd SUFFIX. In a session of its own, as a service is, and as rublk makes itself. A session is a group
# of the scheduler (sched(7), autogroup), and who shares fio's group is woken far more often.
start_bvecd() {
    mkdir -p "/run/bvecd$1"
    setsid "bvecd$1" --socket "/run/bvecd$1/bvecd.sock" --log warn >"bvecd$1.log" 2>&1 &
    await ctl "$1" features || die "bvecd$1 does not answer: $(cat "bvecd$1.log")"
}

# add_device SUFFIX TARGET DATA_PATH/TRANSPORT OPTION...: the device `number`, of bvecdSUFFIX. 4: this kernel
# has no such way. A number is never used twice, for a device's end takes its time.
add_device() {
    number=$((number + 1))
    add_suffix=$1 add_target=$2 add_way=$3 kind=$2
    shift 3
    case $add_target in
    loop) set -- "$@" --file "$backing" ;;
    null) set -- "$@" --size "${size_mib}M" ;;
    esac
    ctl "$add_suffix" dev add "$kind" --id "$number" --data-path "${add_way%/*}" \
        --transport "${add_way#*/}" --queues 1 --depth "$queue_depth" --max-io "${max_io_kib}K" "$@" >add.log 2>&1
    code=$?
    if [ "$code" = 4 ]; then
        echo "not applicable: $add_way, which this kernel has not" >&2
        return 4
    fi
    [ "$code" = 0 ] || die "bvecctl dev add $add_target: $(cat add.log)"
}

# delete_device SUFFIX NUMBER
delete_device() {
    ctl "$1" dev del "$2" >del.log 2>&1 || die "bvecctl dev del: $(cat del.log)"
}

[ "$AUTOGROUP" = 1 ] || echo 0 >/proc/sys/kernel/sched_autogroup_enabled
fill_backing
