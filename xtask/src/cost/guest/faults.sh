
# Measures what rules and the stability watch cost requests that no rule selects.
#
# In: WATCH_JOBS (names of job files), WATCH_WAYS.

other=

# A file of $1 rules, whose sectors lie all over the device. fio's requests begin at multiples of 128 sectors
# (blockalign), are 8 long and so lie between them.
make_rules() {
    echo "version = 1"
    n=0
    while [ "$n" -lt "$1" ]; do
        printf '[[rule]]\nname = "never-%d"\nwhere = { lba = "%d+8" }\naction = { fail = { status = "MEDIUM" } }\n' \
            "$n" $((n * 128 + 64))
        n=$((n + 1))
    done
}

# Runs a command while rules are changed, and holds that against one change a millisecond.
# while_changing DEVICE REAL|DRY COMMAND...
while_changing() {
    changed=$1
    swap_rules /run/bvecd/bvecd.sock "$@" >swaps.log || return
    read -r changes nanoseconds <swaps.log
    milliseconds=$((nanoseconds / 1000000))
    echo "device $changed: $changes changes in $milliseconds ms" >&2
    [ $((changes * 10)) -ge $((milliseconds * 8)) ] || die "only $changes changes in $milliseconds ms"
}

# fault_round ROUND VARIANT DATA_PATH/TRANSPORT
fault_round() {
    server= rules=
    case $2 in
    no-engine) server=-without-faults ;;
    rules-1000) rules=many.toml ;;
    swaps*) rules=one.toml ;;
    esac
    add_device "$server" null "$3" || return 4
    device=$number
    [ -z "$rules" ] || ctl "" fault apply "$rules" --dev "$device" >fault.log 2>&1 || die "$(cat fault.log)"
    set -- "$1" bvecd "$2" null "$3" "/dev/ublkb$device"
    case $3 in
    swaps) run "$@" while_changing "$device" REAL ;;
    swaps-other) run "$@" while_changing "$other" REAL ;;
    swaps-dry) run "$@" while_changing "$device" DRY ;;
    *) run "$@" ;;
    esac
    delete_device "$server" "$device"
}

# watch_round ROUND VARIANT TARGET DATA_PATH/TRANSPORT
watch_round() {
    options=
    [ "$2" != watch ] || options=--stability-watch
    # Not even an empty word if there is none.
    add_device "" "$3" "$4" $options || return 4
    run "$1" bvecd "$2" "$3" "$4" "/dev/ublkb$number"
    delete_device "" "$number"
}

make_rules 1 >one.toml
make_rules 1000 >many.toml
start_bvecd ""
start_bvecd -without-faults
add_device "" null copy/per-io || die "no copy"
other=$number
ctl "" fault apply one.toml --dev "$other" >fault.log 2>&1 || die "$(cat fault.log)"
! ctl -without-faults fault add x fail >fault.log 2>&1 || die "bvecd-without-faults takes rules"

jobs=$JOBS end=$END this=1
while [ "$this" -le "$ROUNDS" ]; do
    JOBS=$jobs END="$end --blockalign=64k"
    for path in $WAYS; do
        for variant in $VARIANTS; do
            fault_round "$this" "$variant" "$path" || break
        done
    done
    JOBS=$WATCH_JOBS END=$end
    for path in $WATCH_WAYS; do
        for variant in no-watch watch; do
            watch_round "$this" "$variant" null "$path" || break
        done
    done
    this=$((this + 1))
done
