"""Runs the checks of one client and says in one line how it went; what a failed check saw goes to standard error."""

import sys
import traceback


def bound(checks, *args):
    """These checks with their arguments and a name that says which."""
    label = getattr(args[0], "model", None) if args else None

    def one(check):
        def run():
            return check(*args)

        run.__name__ = check.__name__ + (f" of {label}" if label else "")
        return run

    return [one(check) for check in checks]


def run(client, version, checks):
    """Ends the process with 1 when a check failed."""
    failed = []
    for check in checks:
        try:
            check()
        except Exception:
            failed.append(check.__name__)
            print(f"-- {client}: {check.__name__}\n{traceback.format_exc()}", file=sys.stderr, flush=True)
    if failed:
        print(f"FAILED {client} ({version}): {len(failed)} of {len(checks)} checks: {', '.join(failed)}", flush=True)
        sys.exit(1)
    print(f"ok {client} ({version}): {len(checks)} checks", flush=True)
