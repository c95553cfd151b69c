from flask import Flask

app = Flask(__name__)


@app.route('/')
def say():
    return 'flask says yes\n'
