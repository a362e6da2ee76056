"""Checks of `doctor` of the servers that the service uses: discovery service, Grafana and Prometheus. They run on this
machine, with the settings of this shell's environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests
from requests.auth import AuthBase

from app.cli.api_client import BearerToken, describe_failure, parse_json
from app.cli.findings import Finding, FindingMaker, Place
from app.settings import Settings, read_secret

ANSWER_SECONDS = 5.0
GRAFANA_SUBPATH = "/grafana"


class ProxyUser(AuthBase):
    """The header of Grafana's auth proxy, which the service sends if it has neither token nor password."""

    def __init__(self, user: str) -> None:
        self._user = user

    def __call__(self, request: Any) -> Any:
        request.headers["X-WEBAUTH-USER"] = self._user
        return request


def check_servers(settings: Settings) -> Iterator[Finding]:
    yield check_discovery_service(settings.discovery_service_host)
    yield from check_grafana(settings)
    yield check_prometheus(settings.prometheus_host)


def check_discovery_service(url: str | None) -> Finding:
    make = FindingMaker("discovery service", Place.LOCAL)
    if not url:
        return make.skipped("DISCOVERY_SERVICE_HOST is not set: the built-in scanner is used")
    response, failure = fetch_answer(f"{url}/discovered")
    if response is None:
        return make.error(f"DISCOVERY_SERVICE_HOST does not answer: {failure}", "Start it, or unset the variable.")
    listed = parse_json(response)
    if response.status_code != 200 or not isinstance(listed, list):
        return make.error(
            f"DISCOVERY_SERVICE_HOST answers {response.status_code} to /discovered, and no list of devices",
            "Check the URL; it is that of the Node backend's discovery service.",
        )
    return make.ok(f"The discovery service answers and knows {len(listed)} miners")


def check_grafana(settings: Settings) -> Iterator[Finding]:
    """Yield findings about Grafana's health, the login, and its data source."""
    make = FindingMaker("Grafana", Place.LOCAL)
    if not settings.gf_host:
        yield make.skipped("GF_HOST is not set: no dashboards are created")
        return
    base, failure = find_grafana(settings.gf_host)
    if base is None:
        yield make.error(
            f"GF_HOST has no healthy Grafana: {failure}",
            "Start Grafana, or correct GF_HOST; `/api/health` must answer.",
        )
        return
    yield make.ok("Grafana is healthy")
    token = read_secret(settings.grafana_token, settings.grafana_token_file)
    password = read_secret(settings.grafana_password, settings.grafana_password_file)
    user = settings.grafana_user or "admin"
    auth: Any = BearerToken(token) if token else (user, password) if password else ProxyUser(user)
    method = "token" if token else "password" if password else f"proxy header (user {user})"
    yield from check_grafana_login(make, base, auth, method)


def check_grafana_login(make: FindingMaker, base: str, auth: Any, method: str) -> Iterator[Finding]:
    response, failure = fetch_answer(f"{base}/api/datasources", auth)
    if response is None:
        yield make.error(f"Grafana does not answer to the login: {failure}", "See Grafana's log.")
        return
    if response.status_code == 401:
        yield make.error(
            f"Grafana rejects the {method} (401)",
            "Set GRAFANA_TOKEN to a token of a service account with the role Admin, or GRAFANA_USER and "
            "GRAFANA_PASSWORD.",
        )
        return
    if response.status_code == 403:
        yield make.warning(
            f"Grafana accepts the {method}, but the account may not list data sources (403)",
            "Give the account the role Admin; an Editor may not publish dashboards either.",
        )
        return
    listed = parse_json(response)
    if response.status_code != 200 or not isinstance(listed, list):
        yield make.error(f"Grafana answers {response.status_code} to /api/datasources", "Check GF_HOST.")
        return
    yield make.ok(f"Grafana accepts the {method}")
    names = [str(each.get("name")) for each in listed if isinstance(each, dict) and each.get("type") == "prometheus"]
    if names:
        yield make.ok(f"Grafana has a Prometheus data source: {', '.join(names)}")
    else:
        yield make.error(
            "Grafana has no data source of the type Prometheus: dashboards stay empty",
            "Add one whose URL is a Prometheus, or this service's /prometheus.",
        )


def check_prometheus(url: str | None) -> Finding:
    make = FindingMaker("Prometheus", Place.LOCAL)
    if not url:
        return make.skipped("PROMETHEUS_HOST is not set: queries are answered from the history")
    response, failure = fetch_answer(f"{url}/api/v1/query?query=count(pluto_device_up)")
    if response is None:
        return make.error(f"PROMETHEUS_HOST does not answer: {failure}", "Start it, or unset the variable.")
    answer = parse_json(response)
    if response.status_code != 200 or not isinstance(answer, dict) or answer.get("status") != "success":
        return make.error(
            f"PROMETHEUS_HOST answers {response.status_code} to a query, and not like Prometheus", "Check the URL."
        )
    if not answer.get("data", {}).get("result"):
        return make.warning(
            "Prometheus answers, but has no metrics of this service",
            "Add this service's /metrics to scrape_configs, with the read token if one is set (docs/grafana.md).",
        )
    return make.ok("Prometheus answers and has metrics of this service")


def find_grafana(host: str) -> tuple[str | None, str]:
    """Return the base URL whose health check responds, `host` or below `/grafana`; else None and the reason."""
    failure = ""
    for base in dict.fromkeys((host, host.removesuffix(GRAFANA_SUBPATH) + GRAFANA_SUBPATH)):
        response, failure = fetch_answer(f"{base}/api/health")
        if response is None:
            break
        health = parse_json(response)
        if isinstance(health, dict) and "database" in health:
            is_healthy = response.status_code == 200 and health["database"] == "ok"
            return (base, "") if is_healthy else (None, f"its database is {health['database']}")
        failure = f"status {response.status_code} to /api/health"
    return None, failure


def fetch_answer(url: str, auth: Any = None) -> tuple[requests.Response | None, str]:
    """Return the answer, or None and the reason."""
    try:
        return requests.get(url, auth=auth or BearerToken(None), timeout=ANSWER_SECONDS, allow_redirects=False), ""
    except requests.RequestException as error:
        return None, describe_failure(error)
