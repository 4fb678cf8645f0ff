#!/usr/bin/env python3
"""Run the Eclipse Paho interoperability tests against a broker that is listening.

The tests are not part of this repository. PAHO_MQTT_TESTING names a checkout of eclipse/paho.mqtt.testing.
Exit code 0: every test passed except those named by --expect-failure, and those did fail.
"""

import argparse
import importlib
import logging
import os
import sys
import unittest

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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", choices=sorted(MODULES), required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
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

    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    if options.tests:
        suite = unittest.TestSuite(t for t in flatten(suite) if t._testMethodName in options.tests)
    total = suite.countTestCases()
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(suite)
    failed = sorted({t._testMethodName for t, _ in result.failures + result.errors if hasattr(t, "_testMethodName")})
    broken = [t for t, _ in result.errors if not hasattr(t, "_testMethodName")]
    print(f"paho {options.version}: {total - len(failed)} of {total} passed" + (f"; failed: {' '.join(failed)}" if failed else ""))
    expected = sorted(options.expect_failure)
    if total == 0 or broken or failed != expected:
        print(f"expected failures: {' '.join(expected) or 'none'}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
