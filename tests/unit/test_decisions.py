from __future__ import annotations

import json
from typing import Any

import pytest

from gateway_batch.errors import AiFunctionError
from gateway_batch.spark.calls.decisions import answers, decide, questions_of
from gateway_batch.spark.calls.signature import Constants, constant_of

TICKET: dict[str, Any] = {
    "team": {
        "type": "choice",
        "instructions": "Which team should handle this ticket?",
        "criteria": {"billing": "Payments, charges, and refunds", "technical_support": None},
    },
    "escalate": {"type": "noul", "instructions": "Does this ticket need escalation?"},
    "urgency": {
        "type": "score",
        "instructions": {"ask": "How urgent is it?", "context": ["a shop"]},
        "criteria": ["Routine: can wait a few days", "Time-sensitive", {"critical": "needs immediate action"}],
    },
}


def asked(questions: Any, **options: str) -> Any:
    given = {"questions": questions, "options": options}
    return decide(Constants("ai_decide", {name: constant_of(value) for name, value in given.items()}))


def test_a_model_is_asked_for_probabilities_by_a_closed_schema() -> None:
    found = asked(json.dumps(TICKET))
    assert '"team": Which team should handle this ticket?' in found.instructions
    assert "  - billing: Payments, charges, and refunds\n  - technical_support\n" in found.instructions
    assert '"urgency": {"ask": "How urgent is it?", "context": ["a shop"]}' in found.instructions
    assert '  - 2: {"critical": "needs immediate action"}' in found.instructions
    members = found.response_format.schema["properties"]
    assert members["team"]["properties"]["probabilities"]["required"] == ["billing", "technical_support"]
    assert members["urgency"]["properties"]["probabilities"]["required"] == ["0", "1", "2"]
    assert list(members["escalate"]["properties"]) == ["probability"]
    assert json.loads(found.metadata) == {"version": "1.0", "probabilities": "stated by the model"}


def test_answers_are_those_of_databricks() -> None:
    stated: dict[str, Any] = {
        "team": {"probabilities": {"billing": 0.85, "technical_support": 0.15}, "confidence": 0.9},
        "escalate": {"probability": 0.8},
        "urgency": {"probabilities": {"0": 0.1, "1": 0.2, "2": 0.7}, "confidence": 0.85},
    }
    found = answers(TICKET, stated)["answers"]
    assert found["team"] == {"type": "choice", "choice": "billing", **stated["team"]}
    assert found["escalate"] == {"type": "noul", "probability": 0.8}
    urgency = found["urgency"]
    assert urgency["score"] == pytest.approx(1.6)
    assert urgency["legend"] == dict(zip("012", TICKET["urgency"]["criteria"], strict=True))
    assert urgency["confidence"] == 0.85


def test_probabilities_add_up_and_the_first_of_equals_is_the_choice() -> None:
    questions = {"q": {"type": "choice", "instructions": "?", "criteria": {"b": None, "a": None, "c": None}}}
    found = answers(questions, {"q": {"probabilities": {"a": 1, "b": 1, "c": 0}, "confidence": 1}})["answers"]["q"]
    assert found["probabilities"] == {"a": 0.5, "b": 0.5, "c": 0}
    assert found["choice"] == "b"
    with pytest.raises(ValueError, match="all probabilities of 'q' are 0"):
        answers(questions, {"q": {"probabilities": {"a": 0, "b": 0, "c": 0}, "confidence": 1}})


def question(**changes: Any) -> str:
    return json.dumps({"q": {"type": "choice", "instructions": "Which?", "criteria": {"a": None}, **changes}})


@pytest.mark.parametrize(
    ("questions", "says"),
    [
        ("which?", "expects JSON, but it is none"),
        (["q"], "expects JSON text of an object"),
        ("{}", "expects an object from ids to questions, with one at least"),
        ("[]", "expects an object"),
        ('{" ": {}}', "whose id is blank"),
        ('{"q": 1}', "gives the question 'q' no type that there is"),
        (question(type="rank"), "gives the question 'q' no type that there is"),
        (question(criteria={}), "gives the question 'q' no type that there is"),
        (question(criteria={" ": None}), "no 1 to 255 options with names"),
        (question(criteria={str(n): None for n in range(256)}), "no 1 to 255 options"),
        (question(criteria={"a": 1}), "describes something in the question 'q'"),
        (question(instructions=7), "describes something in the question 'q'"),
        (question(type="score", criteria=["low"]), "gives the question 'q' 1 levels; a score has 2 to 10"),
        (question(type="score", criteria=["low", " "]), "describes something in the question 'q'"),
        (question(type="noul", criteria={"maybe": "x"}), "describes something in the question 'q'"),
        (question(type="noul", criteria=None, instructions=" "), "describes something in the question 'q'"),
    ],
)
def test_what_is_no_question_is_refused_by_its_id(questions: Any, says: str) -> None:
    with pytest.raises(AiFunctionError, match=r"^\[INVALID_PARAMETER_VALUE\]") as refused:
        asked(questions)
    assert says in str(refused.value)


def test_questions_that_are_just_whole_enough() -> None:
    assert questions_of(question(criteria={"a": ""}))
    assert questions_of(question(type="noul", instructions="", criteria={"true": "fraud"}))
    assert questions_of(question(type="score", criteria=["x"] * 10))
    with pytest.raises(AiFunctionError, match=r"version must be 1\.0, but got '2\.0'"):
        asked(question(), version="2.0")
