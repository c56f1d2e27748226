"""The assistant: answers questions about one's own account and the market from the API's own figures.

    chat ── words, intents (rules) ─┐
         └─ language_model ─────────┴─► tools ─► api (the handlers of the HTTP API, with their roles)

Whatever asks, a tool sees the account of who asks and no other: no tool has an account among its arguments. Nothing here
trades: a tool may propose an order, and only its confirmation by the user places it (`confirmation`).
"""
