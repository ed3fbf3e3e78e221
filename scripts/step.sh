# Sourced by the other scripts: runs one step, says which command it is and how many seconds it took.

# step NAME COMMAND…
step() {
    local name=$1 started=$SECONDS
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@"
    printf '== %s: %d s\n' "$name" $((SECONDS - started))
}
