"""Requests for access."""

from __future__ import annotations

from hub_server.gate import Answer, Gate, Question, said
from hub_server.state import Asked, Refused, now


class Requests(Gate):
    """Who asks, and what the owners decide."""

    def ask(self, asked: Question, name: str) -> Answer:
        repository = self.open(asked, name)
        if asked.user is None:
            raise Refused(401, "Invalid username or password.")
        if asked.user.name not in repository.requests:
            status = "accepted" if repository.gated == "auto" else "pending"
            request = Asked(asked.user.name, status, asked.json(), email=asked.user.email, time=now())
            repository.requests[asked.user.name] = request
        return Answer(303, b"", {"Location": f"{self.url}/datasets/{name}"})

    def requests(self, asked: Question, name: str, status: str) -> Answer:
        people = {user.name: user for user in self.tokens.values()}
        rows = []
        for number, request in enumerate(self.writable(asked, name).requests.values()):
            if request.status == status:
                person = people[request.user]
                user = {"_id": "1", "user": person.name, "fullname": person.fullname, "type": "user"}
                row = {"user": user | ({"email": request.email} if request.email else {}), "requestId": str(number)}
                rows.append(row | {"timestamp": request.time, "status": status, "fields": dict(request.fields)})
        return said(rows)

    def handle(self, asked: Question, name: str) -> Answer:
        wanted, repository = asked.json(), self.writable(asked, name)
        if len(wanted.get("rejectionReason") or "") > 200:
            raise Refused(400, "* Too big: expected string to have <=200 characters * at rejectionReason")
        if wanted["user"] not in [user.name for user in self.tokens.values()]:
            raise Refused(404, "User not found")
        request = repository.requests.get(wanted["user"])
        if request is None or request.status == wanted["status"]:
            raise Refused(404, "No access request found matching your criteria")
        request.status, request.reason = wanted["status"], wanted.get("rejectionReason")
        return said({})

    def grant(self, asked: Question, name: str) -> Answer:
        user, repository = asked.json()["user"], self.writable(asked, name)
        if user not in [each.name for each in self.tokens.values()]:
            raise Refused(404, "User not found")
        if user in repository.requests and repository.requests[user].status == "accepted":
            raise Refused(400, "That user already has access to the repo")
        repository.requests[user] = Asked(user, "accepted", time=now())
        return said({})
