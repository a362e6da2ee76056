"""Who may talk to the service, and how much: judged outside Flask and Socket.IO both, since Engine.IO answers before
Flask would. `guard.py` has the order; each other module is one rule."""
