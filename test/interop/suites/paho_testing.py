#!/usr/bin/env python3
"""Run the Eclipse Paho interoperability tests against a broker that is listening.

The tests are not part of this repository. PAHO_MQTT_TESTING names a checkout of eclipse/paho.mqtt.testing.
Exit code 0: every test passed except those named by --expect-failure, and those did fail.
"""

import argparse
import importlib
import logging
import multiprocessing
import os
import sys
import unittest

SECONDS = 60  # for one test

# These need a broker with limits: a moderate Receive Maximum, a Keep Alive of a minute, no right to test/nosubscribe.
STRICT = ("test_flow_control2", "test_server_keep_alive", "test_subscribe_failure")
MODULES = {"3.1.1": "client_test", "5.0": "client_test5"}


def topics(prefix):
    names = [prefix + t for t in ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")]
    filters = [prefix + f for f in ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")]
    return names, filters


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def child(test):
    """Run one test in a process of its own, because several wait for an answer for ever."""
    result = unittest.TestResult()
    test(result)
    for _, trace in result.failures + result.errors:
        print(trace, file=sys.stderr)
    sys.exit(0 if result.wasSuccessful() else 1)


def passes(test):
    process = multiprocessing.get_context("fork").Process(target=child, args=(test,))
    process.start()
    process.join(SECONDS)
    if process.is_alive():
        print(f"no end within {SECONDS} s", file=sys.stderr)
        process.kill()
        process.join()
    return process.exitcode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", choices=sorted(MODULES), required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--strict-port", type=int, help=f"port of another broker for {', '.join(STRICT)}")
    parser.add_argument("--expect-failure", action="append", default=[], metavar="TEST")
    parser.add_argument("tests", nargs="*", help="test names; all of them if none is given")
    options = parser.parse_args()

    checkout = os.environ.get("PAHO_MQTT_TESTING")
    if not checkout:
        sys.exit("PAHO_MQTT_TESTING is not set: it names a checkout of github.com/eclipse/paho.mqtt.testing")
    sys.path.insert(0, os.path.join(checkout, "interoperability"))
    module = importlib.import_module(MODULES[options.version])
    logging.getLogger().setLevel(logging.CRITICAL)

    # The modules set these globals in their own main, which cannot take a port.
    module.host, module.port = options.host, options.port
    module.topic_prefix = "client_test5/" if options.version == "5.0" else ""
    module.topics, module.wildtopics = topics(module.topic_prefix)
    module.nosubscribe_topics = ("test/nosubscribe",)

    tests = list(flatten(unittest.defaultTestLoader.loadTestsFromModule(module)))
    if options.tests:
        tests = [t for t in tests if t._testMethodName in options.tests]
    failed = []
    if tests:
        type(tests[0]).setUpClass()
    for test in tests:
        strict = options.strict_port and test._testMethodName in STRICT
        module.port = options.strict_port if strict else options.port
        ok = passes(test)
        print(f"{'ok    ' if ok else 'FAILED'} {test._testMethodName}", file=sys.stderr, flush=True)
        if not ok:
            failed.append(test._testMethodName)
    total = len(tests)
    print(f"paho {options.version}: {total - len(failed)} of {total} passed" + (f"; failed: {' '.join(failed)}" if failed else ""))
    expected = sorted(options.expect_failure)
    if total == 0 or sorted(failed) != expected:
        print(f"expected failures: {' '.join(expected) or 'none'}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
