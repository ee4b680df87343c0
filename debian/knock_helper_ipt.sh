#!/bin/sh
# Adds or deletes an ACCEPT rule for one address, unless that has been done already: for knockd's
# commands, with the options of the script of this name that comes with knockd.
#
#   start_command = /usr/sbin/knock_helper_ipt.sh -i -f %IP% -d 22
#   stop_command  = /usr/sbin/knock_helper_ipt.sh -x -f %IP% -d 22
#
# -a and -i do nothing if the rule is there, -x does nothing if it is not. An IPv6 address goes to
# ip6tables. The comment belongs to the rule: -x finds it again whatever -m says.
set -u

# Whatever environment knockd was started in: it does not decide what code is run here.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset XTABLES_LIBDIR IPTABLES_LIB_DIR IP6TABLES_LIB_DIR MODPROBE_OPTIONS

name=${0##*/}
action='' source='' port='' protocol=tcp chain=INPUT comment='' test=0 verbose=0

usage() {
    cat <<EOF
Usage: $name -a|-i|-x -f ADDRESS -d PORT [-p PROTOCOL] [-c CHAIN] [-m[COMMENT]] [-t] [-v]
  -a, --append             add the rule at the end of the chain
  -i, --insert             put the rule in front of the chain
  -x, --delete             delete the rule
  -f, --srcaddr ADDRESS    the address that is let in
  -d, --dstport PORT       the port that is opened to it
  -p, --proto PROTOCOL     default: tcp
  -c, --chain CHAIN        default: INPUT
  -m, --comment[=COMMENT]  a comment for the rule; without a text: by knockd
  -t, --test               change nothing; with -v, print what would be done
  -v, --verbose            print what is done
  -h, --help               print this
EOF
}

fail() {
    echo "$name: $1" >&2
    exit 1
}

say() {
    [ "$verbose" = 0 ] || echo "$name: $1"
}

options=$(getopt -n "$name" -o aixf:d:p:c:m::thv \
    -l append,insert,delete,srcaddr:,dstport:,proto:,chain:,comment::,test,help,verbose -- "$@") || {
    usage >&2
    exit 1
}
eval set -- "$options"
while [ "$1" != -- ]; do
    case $1 in
        -a | --append) action=-A ;;
        -i | --insert) action=-I ;;
        -x | --delete) action=-D ;;
        -f | --srcaddr) source=$2 && shift ;;
        -d | --dstport) port=$2 && shift ;;
        -p | --proto) protocol=$2 && shift ;;
        -c | --chain) chain=$2 && shift ;;
        -m | --comment) comment=${2:-by knockd} && shift ;;
        -t | --test) test=1 ;;
        -v | --verbose) verbose=1 ;;
        -h | --help) usage && exit 0 ;;
    esac
    shift
done
shift
# "-m TEXT" with a blank: getopt leaves the text behind the options.
if [ "$comment" = 'by knockd' ] && [ $# -gt 0 ]; then
    comment=$*
fi

[ -n "$action" ] || fail 'say -a, -i or -x'
[ -n "$source" ] || fail 'no address: -f'
[ -n "$port" ] || fail 'no port: -d'
case $source in
    *:*) iptables=ip6tables ;;
    *) iptables=iptables ;;
esac
iptables=$(command -v "$iptables") || fail "no $iptables on this system"

"$iptables" -w -n -L "$chain" >/dev/null 2>&1 || fail "there is no chain $chain"

# The first rule of the chain, as iptables -S prints it, that says the same but for a comment.
present=$("$iptables" -w -S "$chain" | awk -v source="$source" \
    -v wanted=" -p $protocol --dport $port -j ACCEPT" '
    /^-A/ {
        line = $0
        gsub(/ -m comment --comment ("([^"\\]|\\.)*"|[^ ]+)/, "", line)
        gsub(/ -m (tcp|udp|udplite|sctp|dccp)/, "", line)
        split(line, word, " ")
        address = word[4]
        sub(/\/(32|128)$/, "", address)
        sub(/^-A [^ ]+ -s [^ ]+/, "", line)
        if (word[3] == "-s" && address == source && line == wanted) {
            print
            exit
        }
    }')

if [ "$action" = -D ]; then
    if [ -z "$present" ]; then
        say "no such rule in $chain"
        exit 0
    fi
    say "$iptables -D ${present#-A }"
    # xargs takes the quotation marks of iptables -S away.
    [ "$test" = 1 ] || printf '%s\n' "${present#-A }" | xargs "$iptables" -w -D
    exit
fi
if [ -n "$present" ]; then
    say "there already: $present"
    exit 0
fi
set -- "$chain" -s "$source" -p "$protocol" --dport "$port" -j ACCEPT
[ -z "$comment" ] || set -- "$@" -m comment --comment "$comment"
say "$iptables $action $*"
[ "$test" = 1 ] || exec "$iptables" -w "$action" "$@"
