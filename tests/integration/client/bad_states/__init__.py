"""The bad states a client can enter: a detector for each, and twins that prove the detectors.

A detector provokes one bad state from outside, on real servers with time on the wire, and counts
the bad events it sees. It takes any client that follows the harness's contract, so the same eyes
judge the default client (clean), a twin of it with one part broken (caught, or the detector is
none), and pymemcache's own clients (recorded).

    rows.py       the table: state, detector, twins, what is known of pymemcache
    cut_off.py    callers that are killed or time out in the middle
    breaking.py   breakers that do not come back, or come back too hard
    placing.py    keys, names and connections that point to the wrong place
    flowing.py    work that is done one by one, too slowly, or too often
    lab.py        the servers and the network in between
    names.py      a name server whose records can be changed
    contenders.py pymemcache's clients behind the contract

`python -m tests.integration.client.bad_states` prints the table.
"""
