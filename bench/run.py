#!/usr/bin/env python3
"""Measures proxies side by side and prints ratios of CPU time per request.

  run.py --check                              each proxy lets the good in and refuses the bad; no measurement
  run.py                                      every scenario, 5 repetitions
  run.py -s pass,signed -p countersign,haproxy -r 9 -d 4
  run.py --report results.json                the tables of an earlier run"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import gen
import proxies
from proxies import LISTEN, PROXIES, UPSTREAM, Countersign

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
SIGNED = 400_000


def driver():
    target = os.environ.get("BENCH_TARGET", proxies.HERE / "driver/target")
    return f"{target}/release/bench-driver"


def drive(proxy, requests, warm_up, duration, connections=32, most=None, once=False):
    """One run of the driver on core 1."""
    command = ["nice", "-n", os.environ.get("BENCH_NICE", "-10" if os.geteuid() == 0 else "0"), "taskset", "-c", "1", driver()]
    command += ["--target", "{}:{}".format(*LISTEN), "--upstream", "{}:{}".format(*UPSTREAM), "--requests", str(requests)]
    command += ["--connections", str(connections), "--warm-up", str(warm_up), "--duration", str(duration)]
    command += ["--processes", ",".join(map(str, proxy.processes()))]
    command += ["--most", str(most)] if most else []
    command += ["--each-once"] if once else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=warm_up + duration + 60)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


def write_requests(proxy, scenario, count=SIGNED):
    """The requests of a scenario, in a file. Signed ones are made now, for this run."""
    path = proxy.directory / "requests"
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


def measure(name, scenario, options):
    """One repetition: a fresh proxy, warmed up, measured; again while other work disturbs it."""
    best = None
    for _ in range(options.tries):
        with PROXIES[name](options.directory, scenario, options.issuer) as proxy:
            if isinstance(proxy, Countersign) and scenario in ("token", "forged", "foreign"):
                (options.directory / "token").write_text(proxy.log_in())
            requests = write_requests(proxy, scenario)
            wait_for_quiet(options.quiet)
            result = drive(proxy, requests, options.warm_up, options.duration, options.connections, once=scenario == "signed")
        if best is None or result["other_cores"] < best["other_cores"]:
            best = result
        if best["other_cores"] <= options.quiet:
            break
    wanted = str(SCENARIOS[scenario][1])
    if set(best["statuses"]) != {wanted}:
        raise RuntimeError(f"{scenario} {name}: wanted only {wanted}, got {best['statuses']}")
    return best


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
    """Tables of medians and ratios."""
    # Repetitions that were disturbed are left out where there are others.
    chosen = {
        scenario: {name: [run for run in runs if run["other_cores"] <= quiet] or runs for name, runs in by.items()}
        for scenario, by in results.items()
    }
    median = lambda scenario, name, what: statistics.median(run[what] for run in chosen[scenario][name])
    for scenario, by in chosen.items():
        print(f"\n{scenario}: {SCENARIOS[scenario][0]}\n")
        print("| proxy | CPU us per request | lowest, highest | requests per second | p99 us | peak MiB | quiet runs | CPU by HAProxy's | by own pass |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name in sorted(by, key=lambda name: median(scenario, name, "cpu_us")):
            cpu = [run["cpu_us"] for run in by[name]]
            own = median(scenario, name, "cpu_us")
            ratio = lambda to, of: f"{own / median(to, of, 'cpu_us'):.2f}" if to in chosen and of in chosen[to] else ""
            limited = "*" if median(scenario, name, "driver_busy") > 0.95 else ""
            quiet_runs = sum(run["other_cores"] <= quiet for run in results[scenario][name])
            print(f"| {name} | {own:.2f} | {min(cpu):.2f}, {max(cpu):.2f} | {median(scenario, name, 'per_second'):.0f}{limited}"
                  f" | {median(scenario, name, 'p99_us'):.0f} | {median(scenario, name, 'peak_kib') / 1024:.1f}"
                  f" | {quiet_runs} of {len(results[scenario][name])} | {ratio(scenario, 'haproxy')} | {ratio('pass', name)} |")
    print("\n*: the driver had no time left, so the proxy could have answered more.")


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("-p", "--proxies", default=",".join(PROXIES), help="which proxies")
    words.add_argument("-s", "--scenarios", default="pass,token,signed,foreign,forged,post10k", help=f"which of {', '.join(SCENARIOS)}")
    words.add_argument("-r", "--repetitions", type=int, default=5)
    words.add_argument("-d", "--duration", type=float, default=3, help="seconds that are measured")
    words.add_argument("-w", "--warm-up", type=float, default=1, help="seconds of load before")
    words.add_argument("-c", "--connections", type=int, default=32)
    words.add_argument("-q", "--quiet", type=float, default=0.08, help="cores that other work may take")
    words.add_argument("-t", "--tries", type=int, default=4, help="how often a disturbed repetition is tried")
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

    results = {}
    for repetition in range(options.repetitions):
        # Everything once in each repetition, so that what drifts drifts for all.
        for scenario in options.scenarios:
            for name in options.proxies:
                if scenario not in PROXIES[name].scenarios:
                    continue
                result = measure(name, scenario, options)
                results.setdefault(scenario, {}).setdefault(name, []).append(result)
                print(f"[{repetition + 1}/{options.repetitions}] {scenario:9} {name:12} {result['cpu_us']:7.2f} us CPU, "
                      f"{result['per_second']:7.0f}/s, others {result['other_cores']:.2f} cores", file=sys.stderr, flush=True)
        with open(options.output or options.directory / "results.json", "w") as file:
            json.dump(results, file)
    report(results, options.quiet)


if __name__ == "__main__":
    main()
