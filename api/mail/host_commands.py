"""`stanchion mail-watch --check`: whether this host can be looked after, by who runs it."""

import json
import os
from dataclasses import asdict

from api.doctor.findings import Finding, Level, fault, ok, warn
from models.mail.host_check import Sight
from models.settings import Settings
from workers.mail_host_check import check


def check_host(settings: Settings, host: str, *, as_json: bool) -> int:
    """Say line by line what is as it should be and what is not; 1 when something is at fault."""
    findings = [_finding(each) for each in check(host, settings.exim)]
    if os.geteuid() == 0:
        findings.append(warn("user", "this is root", "a user in Exim's group can do all of it"))
    if as_json:
        print(json.dumps([asdict(each) for each in findings], indent=2))
    else:
        for each in findings:
            print(each)
    return int(any(each.level is Level.FAULT for each in findings))


def _finding(sight: Sight) -> Finding:
    if sight.is_good:
        return ok(sight.subject, sight.fact)
    return (fault if sight.is_needed else warn)(sight.subject, sight.fact, sight.advice)
