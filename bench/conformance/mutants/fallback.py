"""Faults for the demands of rows/fallback.py."""

MUTANTS = {
    "fallback/cancellation": [
        (
            "policies/_fallback.py",
            "            except Exception as error:\n                rescue = self._begin(error)\n                if rescue is None:\n                    raise\n                return self._rescue(rescue, args, kwargs, plain)",
            "            except BaseException as error:\n                return self._rescue(Rescue(len(self._links), error), args, kwargs, plain)",
        )
    ],
    "fallback/other-exceptions-pass": [
        (
            "policies/_fallback.py",
            "is not Category.INVALID_INPUT if listed is None else listed",
            "is not Category.INVALID_INPUT if listed is None else True",
        )
    ],
    "fallback/refusals": [
        (
            "policies/_fallback.py",
            "if isinstance(error, CancelledError):",
            'if isinstance(error, CancelledError) or type(error).__name__ == "CircuitOpenError":',
        )
    ],
    "fallback/answers": [
        (
            "policies/_fallback.py",
            "result = await fn(*args, **kwargs)\n",
            "result = await fn(*args, **kwargs)\n                if unwanted is None:\n"
            "                    raise OutlastError('unwanted')\n",
        )
    ],
}
