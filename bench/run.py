#!/usr/bin/env python3
"""Measures proxies side by side and prints ratios of CPU time per request.

  run.py --check                              each proxy lets the good in and refuses the bad; no measurement
  run.py                                      every scenario, 30 rounds
  run.py -s pass,signed -p countersign,haproxy -r 60
  run.py --report results.json                the tables of an earlier run"""
import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time

import gen
import proxies
from proxies import PROXIES, UPSTREAM, Countersign

# What is sent, and what must come back. A signed request is sent once; everything else again and again.
SCENARIOS = {
    "pass": ("a small GET, nothing asked", 200),
    "token": ("an ES256 access token, the same one each time", 200),
    "signed": ("a signed GET, each one new", 200),
    "foreign": ("a token whose header names another algorithm and key", 401),
    "forged": ("a token whose signature does not fit", 401),
    "post10k": ("a POST of 10 KiB, nothing asked", 200),
    "allow10k": ("an address among 10 000 networks", 200),
}
#: The gateway's own answers to the requests of `pass`, measured in every scenario.
OWN_PASS = "countersign, pass"


def driver():
    target = os.environ.get("BENCH_TARGET", proxies.HERE / "driver/target")
    return f"{target}/release/bench-driver"


def drive(proxy, requests, warm_up, duration, connections=32, most=None, once=False):
    """One run of the driver on core 1."""
    command = ["nice", "-n", os.environ.get("BENCH_NICE", "-10" if os.geteuid() == 0 else "0"), "taskset", "-c", "1", driver()]
    command += ["--target", "{}:{}".format(*proxy.listen), "--upstream", "{}:{}".format(*UPSTREAM), "--requests", str(requests)]
    command += ["--connections", str(connections), "--warm-up", str(warm_up), "--duration", str(duration)]
    command += ["--processes", ",".join(map(str, proxy.processes()))]
    command += ["--most", str(most)] if most else []
    command += ["--each-once"] if once else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=warm_up + duration + 60)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


def write_requests(proxy, scenario, count):
    """The requests of a scenario, in a file. Signed ones are made now, for this run."""
    path = proxy.directory / f"requests.{proxy.name}.{scenario}"
    if scenario == "signed":
        make = gen.signed if isinstance(proxy, Countersign) else gen.home_made
        gen.write(path, make(count, proxy.keys))
        return path
    token = (proxy.directory / "token").read_text()
    gen.write(path, [{
        "pass": lambda: gen.request("/public/items/123456?x=1"),
        "post10k": lambda: gen.request("/public/upload", method="POST", body=bytes(range(97, 107)) * 1024),
        "allow10k": lambda: gen.request("/networks/items/123456?x=1"),
        "token": lambda: gen.request("/api/items/123456?x=1", gen.bearer(token)),
        "foreign": lambda: gen.request("/api/items/123456?x=1", gen.bearer(gen.foreign(token))),
        "forged": lambda: gen.request("/api/items/123456?x=1", gen.bearer(gen.forged(token))),
    }[scenario]()])
    return path


def prepare(directory, scenarios):
    """The gateway's data, an access token, and what other proxies need to check it."""
    gateway = Countersign(directory, "prepare")
    gateway.prepare("allow10k" in scenarios)
    with gateway:
        token = gateway.log_in()
        (directory / "token").write_text(token)
        (directory / "issuer.pem").write_text(gateway.public_key())
        return proxies.claims(token)


def busy_seconds():
    fields = [int(ticks) for ticks in open("/proc/stat").readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def wait_for_quiet(limit, patience=30):
    """Waits until other work takes less than `limit` cores, but not for ever."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before, start = busy_seconds(), time.monotonic()
        time.sleep(0.3)
        if busy_seconds() - before < limit * (time.monotonic() - start):
            return


def measure(proxy, scenario, requests, options):
    """One turn of a proxy."""
    result = drive(proxy, requests, options.warm_up, options.duration, options.connections, once=scenario == "signed")
    wanted = str(SCENARIOS[scenario][1])
    if set(result["statuses"]) != {wanted}:
        raise RuntimeError(f"{scenario} {proxy.name}: wanted only {wanted}, got {result['statuses']}")
    return result


def rounds(scenario, options):
    """Rounds of turns, one a proxy, right behind each other: whatever disturbs the machine for longer disturbs all of a round."""
    with contextlib.ExitStack() as running:
        start = lambda name: running.enter_context(PROXIES[name](options.directory, scenario, options.issuer))
        turns = [(name, start(name), scenario) for name in options.proxies if scenario in PROXIES[name].scenarios]
        ours = next((proxy for _, proxy, _ in turns if isinstance(proxy, Countersign)), None)
        if ours and scenario != "pass":
            turns.insert(0, (OWN_PASS, ours, "pass"))
        # More than any of them answers.
        count = int(70_000 * (options.warm_up + options.duration))
        for number in range(options.rounds if turns else 0):
            # Each time the other way round, so that what comes and goes is not always there for the same one.
            turns.reverse()
            for _ in range(options.tries):
                if ours and scenario in ("token", "forged", "foreign"):
                    # Good for a quarter of an hour, which many rounds can take.
                    (options.directory / "token").write_text(ours.log_in())
                written = [write_requests(proxy, of, count) for _, proxy, of in turns]
                wait_for_quiet(options.quiet)
                turn = {name: measure(proxy, of, requests, options) for (name, proxy, of), requests in zip(turns, written)}
                if all(result["other_cores"] <= options.quiet for result in turn.values()):
                    break
            said = ", ".join(f"{name} {result['cpu_us']:.2f}" for name, result in turn.items())
            print(f"[{number + 1}/{options.rounds}] {scenario}: {said} us CPU", file=sys.stderr, flush=True)
            yield turn


def check(options):
    """Whether each proxy does what is measured. True when all do."""
    good = True

    def judge(what, result, status, forwarded):
        nonlocal good
        fine = list(result["statuses"]) == [str(status)] and result["forwarded"] == forwarded
        good &= fine
        print(f"{'ok ' if fine else 'BAD'} {what}: {result['statuses']}, {result['forwarded']} forwarded; wanted {status}, {forwarded}")

    for scenario in options.scenarios:
        for name in options.proxies:
            if scenario not in PROXIES[name].scenarios:
                continue
            with PROXIES[name](options.directory, scenario, options.issuer) as proxy:
                run = lambda path, count, once=False: drive(proxy, path, 0, 5, 4, most=count, once=once)
                requests, status = write_requests(proxy, scenario, 200), SCENARIOS[scenario][1]
                if scenario == "signed":
                    spoiled = proxy.directory / "spoiled"
                    make = gen.signed if isinstance(proxy, Countersign) else gen.home_made
                    gen.write(spoiled, gen.spoiled(make(200, proxy.keys)))
                    judge(f"{scenario} {name}, not what was signed", run(spoiled, 200, True), 401, 0)
                result = run(requests, 200, once=scenario == "signed")
                # Those under way when the count is reached are forwarded and not answered.
                result["forwarded"] = min(result["forwarded"], result["answers"])
                judge(f"{scenario} {name}", result, status, result["answers"] if status == 200 else 0)
                if scenario == "signed" and isinstance(proxy, Countersign):
                    judge(f"{scenario} {name}, a second time", run(requests, 200, True), 401, 0)
                if scenario == "token":
                    bare = proxy.directory / "bare"
                    gen.write(bare, [gen.request("/api/items/123456?x=1")])
                    judge(f"{scenario} {name}, without one", run(bare, 200), 401, 0)
            if scenario == "allow10k":
                with PROXIES[name](options.directory, scenario, options.issuer, networks="others") as proxy:
                    gen.write(requests, [gen.request("/others/items/123456?x=1")])
                    judge(f"{scenario} {name}, not on the list", drive(proxy, requests, 0, 5, 4, most=200), 403, 0)
    return good


def report(results, quiet):
    """Tables of medians, and of ratios within a round."""
    for scenario, turns in results.items():
        if not turns:
            continue
        # Rounds that were disturbed are left out where there are others.
        calm = [turn for turn in turns if all(result["other_cores"] <= quiet for result in turn.values())]
        chosen = calm or turns
        median = lambda name, what: statistics.median(turn[name][what] for turn in chosen)
        print(f"\n{scenario}: {SCENARIOS[scenario][0]}; {len(calm)} of {len(turns)} rounds were quiet\n")
        print("| proxy | CPU us per request, lowest | requests per second | p99 us | peak MiB | CPU by HAProxy's (quartiles) | by own pass (quartiles) |")
        print("|---|---|---|---|---|---|---|")
        for name in sorted(chosen[0], key=lambda name: median(name, "cpu_us")):
            def ratio(to):
                if to not in chosen[0] or name in (to, OWN_PASS):
                    return ""
                each = [turn[name]["cpu_us"] / turn[to]["cpu_us"] for turn in chosen]
                low, middle, high = statistics.quantiles(each, n=4) if len(each) > 1 else each * 3
                return f"{middle:.2f} ({low:.2f} to {high:.2f})"
            # What the process has for `pass` is what it has for all it was asked.
            peak = "" if name == OWN_PASS else f"{median(name, 'peak_kib') / 1024:.1f}"
            limited = "*" if median(name, "driver_busy") > 0.95 else ""
            print(f"| {name} | {median(name, 'cpu_us'):.2f}, {min(turn[name]['cpu_us'] for turn in chosen):.2f} | {median(name, 'per_second'):.0f}{limited}"
                  f" | {median(name, 'p99_us'):.0f} | {peak} | {ratio('haproxy')}"
                  f" | {ratio(OWN_PASS) if name == 'countersign' else ''} |")
    print("\n*: the driver had no time left, so the proxy could have answered more.")


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("-p", "--proxies", default=",".join(PROXIES), help="which proxies")
    words.add_argument("-s", "--scenarios", default="pass,token,signed,foreign,forged,post10k", help=f"which of {', '.join(SCENARIOS)}")
    words.add_argument("-r", "--rounds", type=int, default=30, help="how often each proxy has its turn")
    words.add_argument("-d", "--duration", type=float, default=0.4, help="seconds of a turn that are measured")
    words.add_argument("-w", "--warm-up", type=float, default=0.2, help="seconds of load before")
    words.add_argument("-c", "--connections", type=int, default=32)
    words.add_argument("-q", "--quiet", type=float, default=0.08, help="cores that other work may take")
    words.add_argument("-t", "--tries", type=int, default=4, help="how often a disturbed round is tried")
    words.add_argument("-o", "--output", help="where results are kept, for --report")
    words.add_argument("--check", action="store_true", help="only check that the proxies do what is measured")
    words.add_argument("--report", help="only print the tables of these results")
    options = words.parse_args()
    if options.report:
        with open(options.report) as file:
            return report(json.load(file), options.quiet)
    options.proxies, options.scenarios = options.proxies.split(","), options.scenarios.split(",")
    for name in options.proxies + options.scenarios:
        if name not in PROXIES and name not in SCENARIOS:
            sys.exit(f"there is no proxy or scenario {name}")
    options.directory = proxies.home()
    options.issuer = prepare(options.directory, options.scenarios)
    if options.check:
        sys.exit(not check(options))

    results = {scenario: [] for scenario in options.scenarios}
    for scenario in options.scenarios:
        for turn in rounds(scenario, options):
            results[scenario].append(turn)
            with open(options.output or options.directory / "results.json", "w") as file:
                json.dump(results, file)
    report(results, options.quiet)


if __name__ == "__main__":
    main()
