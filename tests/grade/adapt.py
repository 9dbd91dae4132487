#!/usr/bin/python3
"""adapt.py github|autolab RESULTS: a student's results.json (it has the schema
of Gradescope) as another service wants it, to stdout.

github   lines "lesson-5=..." for $GITHUB_OUTPUT: what GitHub Classroom's
         autograding reporter takes as the result of the runner lesson-5
autolab  the report, then two lines of JSON: the tests that passed, by lesson,
         and the scores of the problems "lesson 5"
"""
import base64
import json
import sys


def by_lesson(results):
    lessons = {}
    for test in results['tests']:
        number, _, name = test['name'].partition(': ')
        lessons.setdefault(number, []).append({**test, 'name': name})
    return lessons


def points(tests, which='score'):
    return round(sum(test[which] for test in tests), 2)


def github(results):
    for number, tests in by_lesson(results).items():
        passed = all(test['status'] == 'passed' for test in tests)
        told = {'version': 1, 'status': 'pass' if passed else 'fail',
                'max_score': points(tests, 'max_score'),
                'tests': [{'name': test['name'], 'score': test['score'],
                           'status': {'passed': 'pass'}.get(test['status'],
                                                            'fail'),
                           'message': test['output'], 'test_code': '',
                           'filename': '', 'line_no': 0,
                           'execution_time': 0} for test in tests]}
        code = base64.b64encode(json.dumps(told).encode()).decode()
        print(f'lesson-{number}={code}')


def autolab(results):
    lessons = {f'lesson {number}': tests
               for number, tests in by_lesson(results).items()}
    print(results['output'])
    print(json.dumps({'_presentation': 'semantic', 'stages': list(lessons),
                      **{name: {test['name']: {
                          'passed': test['status'] == 'passed',
                          **({'hint': test['output']}
                             if test['output'] else {})}
                          for test in tests}
                         for name, tests in lessons.items()}}))
    scores = {name: points(tests) for name, tests in lessons.items()}
    print(json.dumps({'scores': scores, 'scoreboard': [
        *scores.values(), round(sum(scores.values()), 2)]}))


def main():
    what, path = sys.argv[1:]
    with open(path, encoding='utf-8') as file:
        results = json.load(file)
    {'github': github, 'autolab': autolab}[what](results)


main()
