#!/usr/bin/env bash
# Runs a private RabbitMQ node on 127.0.0.1, whose files are all in one folder.
#
#   broker.sh start FOLDER   starts it and prints its URL; it keeps its port when it is started again
#   broker.sh stop FOLDER    stops it, in order
#   broker.sh kill FOLDER    stops it at once
#
# The environment variable BROKER_ARGUMENTS has arguments for the node, such as `-rabbit max_message_size 100000`, and
# BROKER_ADDRESS has another address to listen on. FOLDER/rabbitmq.conf may have settings.
#
# If RabbitMQ is missing, the script installs it by apt-get, for which it must run as root. It stops only processes that it
# has started, by their ids.
set -euo pipefail

server=/usr/lib/rabbitmq/bin/rabbitmq-server
address=${BROKER_ADDRESS:-127.0.0.1}

fail() {
    echo "$*" >&2
    exit 1
}

install_server() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] ||
        fail "RabbitMQ is missing: install the package rabbitmq-server"
    # The package starts a node of its own unless this says no.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq rabbitmq-server; } >&2 ||
        fail "RabbitMQ is missing, and apt-get cannot install the package rabbitmq-server"
}

is_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Prints three consecutive ports that are free. The search begins at a place that depends on the id of this process, so that
# nodes which are started at the same time do not choose the same ports.
free_ports() {
    local port=$((20000 + $$ % 4000 * 3))
    until is_free "$port" && is_free $((port + 1)) && is_free $((port + 2)); do
        port=$((20000 + (port - 20000 + 3) % 12000))
    done
    echo "$port $((port + 1)) $((port + 2))"
}

is_alive() {
    [ -s "$folder/$1.pid" ] && kill -0 "$(cat "$folder/$1.pid")" 2>/dev/null
}

start() {
    [ -x "$server" ] || install_server
    mkdir -p "$folder/home"
    if [ ! -s "$folder/ports" ]; then
        free_ports >"$folder/ports"
    fi
    read -r port dist names <"$folder/ports"
    export HOME=$folder/home RABBITMQ_NODENAME=cf@localhost RABBITMQ_MNESIA_BASE=$folder/data \
        RABBITMQ_LOG_BASE=$folder/log RABBITMQ_NODE_IP_ADDRESS=$address RABBITMQ_NODE_PORT=$port \
        RABBITMQ_DIST_PORT=$dist ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$names \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} ${BROKER_ARGUMENTS:-}" \
        RABBITMQ_CONFIG_FILE=$folder/rabbitmq.conf RABBITMQ_ENABLED_PLUGINS_FILE=$folder/no_plugins RABBITMQ_PID_FILE=$folder/node.pid
    # This starts epmd, the daemon that finds nodes by name. If the node started it, nobody would stop it.
    export ERL_ZFLAGS="-start_epmd false"
    if ! is_alive names; then
        epmd -port "$names" -address 127.0.0.1 >/dev/null 2>&1 </dev/null &
        echo $! >"$folder/names.pid"
        while is_free "$names" && is_alive names; do
            sleep 0.05
        done
    fi
    rm -f "$folder/node.pid"
    : >"$folder/out.log"
    setsid "$server" >"$folder/out.log" 2>&1 </dev/null &
    local node=$! line
    # This reads the output of the node until the node is up or has ended.
    exec 4< <(exec tail -n +1 -f --pid="$node" "$folder/out.log" 2>/dev/null)
    local reader=$!
    while read -r line <&4; do
        case $line in
        *"completed with"*)
            kill "$reader"
            echo "amqp://guest:guest@$address:$port"
            return
            ;;
        esac
    done
    stop KILL
    fail "RabbitMQ does not start: see $folder/out.log"
}

stop() {
    local signal=$1 name pid
    for name in node names; do
        if is_alive "$name"; then
            pid=$(cat "$folder/$name.pid")
            kill "-$signal" "$pid"
            tail -f --pid="$pid" /dev/null
        fi
        rm -f "$folder/$name.pid"
    done
}

[ $# = 2 ] || fail "say: broker.sh start|stop|kill FOLDER"
mkdir -p "$2"
folder=$(cd "$2" && pwd)
case $1 in
start) start ;;
stop) stop TERM ;;
kill) stop KILL ;;
*) fail "say: broker.sh start|stop|kill FOLDER" ;;
esac
