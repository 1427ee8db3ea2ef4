#!/bin/sh
# Runs memcached and does to it what it is told: `sh agent.sh NAME memcached [options]`.
#
# For a node in a container of its own, whose process the harness cannot reach. Wishes come through
# a pipe, NAME.wishes, a word and a number a line: kill, halt, mend. What has become of memcached is
# written to NAME.state: running, dying, halted or dead, and the number of the last wish. Both lie
# in $AGENT_FOLDER (/control). Whoever can write into that pipe can stop this memcached; nothing
# else can be asked for. cluster/agents.py is the other end. Needs a POSIX shell, mkfifo and mv.
set -u
folder=${AGENT_FOLDER:-/control}
name=$1
shift
pipe=$folder/$name.wishes
state=$folder/$name.state
pid=0
alive=no
now=starting
wish=0
wanted=up # up; dead, after a kill; again, after a kill and a mend before it was gone

say() {
    now=$1
    echo "$now $wish" >"$state.new" && mv "$state.new" "$state"
}

launch() {
    wanted=up
    alive=yes
    (
        "$@" </dev/null 3>&- &
        child=$!
        echo "began $child" >&3
        wait "$child"
        echo "ended $child" >&3
    ) &
}

rm -f "$pipe" "$state"
mkfifo "$pipe" && chmod 622 "$pipe" || exit 2
exec 3<>"$pipe" # both ends, so that it is never at its end
launch "$@"
while read -r word number <&3; do
    case $word in
    began)
        pid=$number
        say running
        ;;
    ended)
        [ "$number" = "$pid" ] || continue
        alive=no
        case $wanted in
        up) exit 1 ;; # by itself: the container ends, and its engine decides
        dead) say dead ;;
        again) launch "$@" ;;
        esac
        ;;
    kill)
        wish=$number
        if [ $alive = yes ] && kill -KILL "$pid"; then
            wanted=dead
            say dying
        else
            say $now
        fi
        ;;
    halt)
        wish=$number
        if [ $now = running ] && kill -STOP "$pid"; then say halted; else say $now; fi
        ;;
    mend)
        wish=$number
        if [ $alive = no ]; then
            say dying # until it has begun
            launch "$@"
        elif [ $wanted = up ]; then
            kill -CONT "$pid" && say running
        else
            wanted=again
            say dying
        fi
        ;;
    esac
done
