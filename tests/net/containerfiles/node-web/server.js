const app = require('express')();
app.get('/:who', (request, response) => response.send(`${request.params.who} from express\n`));
app.listen(3000);
